"""DynamoDB, one module per table. What must hold is held by conditions, not by reading first."""
