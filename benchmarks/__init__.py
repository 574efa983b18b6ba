"""Figures, each measured by a command: `make bench`."""
