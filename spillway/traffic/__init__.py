"""The traffic of a stage for its operator: gathered, shown, and queried."""
