"""The strict layer: the only way into the emulator, and as particular about a request as AWS."""
