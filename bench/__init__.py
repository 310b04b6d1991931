"""Measured side by side with peers and limits."""
