"""Publish a release: read the site, diff it with the live manifest, apply the plan."""
