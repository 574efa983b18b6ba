"""What a merchant asks and says: stock in bulk, who waits, how far letters are, what is stuck."""
