"""What intake keeps: receipts, numbers and ids. Never a word of what anybody said."""
