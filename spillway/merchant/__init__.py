"""Services of the commands for merchants: stock files, waitlist reports, dead letters, suppressions."""
