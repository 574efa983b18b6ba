"""The one renderer of pages and emails, used by the operator's build and by the cloud alike."""
