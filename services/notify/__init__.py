"""The voice: tells staff that something waits, and knows no more."""
