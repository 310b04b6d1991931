"""Tests: what happens when servers and processes go away."""
