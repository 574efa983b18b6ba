"""From a release to a live shop: a plan first, then its execution in an order that never breaks a page."""
