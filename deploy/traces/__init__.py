"""The embedded trace page."""
