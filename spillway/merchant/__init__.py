"""What a merchant asks and says: stock in bulk, who waits, how far emails are, what is stuck."""
