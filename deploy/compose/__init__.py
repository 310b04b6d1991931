"""Relais in containers: what Docker Compose starts, and what watches it."""
