"""HTTP: parse, ask, render."""
