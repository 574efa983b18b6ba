"""The whole shop on one machine, and a story that is played in it."""
