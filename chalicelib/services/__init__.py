"""From a parsed request or event to its effects: one module for each promise of the shop."""
