"""The words that cross a wall: ids, codes, facts, events."""
