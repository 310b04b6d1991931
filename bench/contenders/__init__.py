"""Three ways to receive the same messages."""
