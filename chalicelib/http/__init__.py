"""HTTP at the edge: requests parsed into values, values answered. Nothing is decided here."""
