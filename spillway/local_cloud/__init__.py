"""The cloud on a laptop: an emulator as a child process, the shop's front door, and the inbox."""
