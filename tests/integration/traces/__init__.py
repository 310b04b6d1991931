"""Tests: the trace page as a process of its own, and real exporters."""
