"""The demo: an emulated cloud in a child process, the front door, the inbox, and the story."""

# Lambda instances at once, unless the operator sets another number.
LAMBDA_INVOCATIONS_MAX = 16
