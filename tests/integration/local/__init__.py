"""Tests: integration, the private servers."""
