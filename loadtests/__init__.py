"""A flood of shoppers, on this machine alone. `make load` sends it and counts what became of it."""
