"""The whole shop on a laptop, and a story that is played in it."""
