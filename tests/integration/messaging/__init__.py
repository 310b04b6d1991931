"""Tests: the batch shell on a real broker and a real database."""
