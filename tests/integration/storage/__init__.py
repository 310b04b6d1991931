"""Tests: pool and migrations on a real PostgreSQL."""
