"""The relais command."""
