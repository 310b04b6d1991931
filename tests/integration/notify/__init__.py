"""Tests: notify on a real broker, a real database and a real mail server."""
