"""What the three services of a node share."""
