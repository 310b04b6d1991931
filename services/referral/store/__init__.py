"""What the desk keeps: SQL in full beside the function that runs it."""
