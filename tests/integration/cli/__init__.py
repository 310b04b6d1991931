"""The relais command on a real node."""
