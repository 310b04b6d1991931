"""Tests: integration, the broker's topology."""
