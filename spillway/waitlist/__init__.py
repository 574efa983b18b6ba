"""The merchant's tools for people: look up, explain, import and move entries of waitlists."""
