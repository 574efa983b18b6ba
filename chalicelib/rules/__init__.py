"""Rules: what a merchant lets the shop do by itself when an event matches a pattern."""
