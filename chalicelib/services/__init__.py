"""What the system does, one module per promise: from a parsed event to its effects."""
