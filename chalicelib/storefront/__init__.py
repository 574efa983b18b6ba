"""The one renderer of pages and letters, used by the operator's build and by the cloud alike."""
