"""Services of the commands for merchants: stock files, waitlists and people, suppressions, dead letters."""
