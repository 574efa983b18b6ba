"""The inbox of a laptop: every letter the shop sends, kept and shown instead of delivered."""
