"""Traces, metrics and logs, all through one allow-list."""
