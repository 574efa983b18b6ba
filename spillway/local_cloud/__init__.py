"""The demo: an emulated cloud in a child process, the front door, the inbox, and the story."""
