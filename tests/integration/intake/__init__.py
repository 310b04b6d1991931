"""Tests: the door of a node, on a real broker and a real database."""
