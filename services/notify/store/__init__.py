"""What notify keeps: who was told of what, and which mail is on its way."""
