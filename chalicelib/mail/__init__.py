"""Emails out: one promise, and the transports that keep it."""
