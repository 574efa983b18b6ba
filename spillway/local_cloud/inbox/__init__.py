"""The inbox of a laptop: every email the shop sends, kept and shown instead of delivered."""
