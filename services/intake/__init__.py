"""The door: verifies who speaks, and cannot read what they say."""
