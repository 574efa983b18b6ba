"""DynamoDB tables, one module for each. Writes are conditional: no rule depends on an earlier read."""
