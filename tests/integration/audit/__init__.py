"""The audit log on a real PostgreSQL."""
