"""One module per command: read the options, call, print. Nothing is decided here."""
