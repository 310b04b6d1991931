"""The desk's JSON API for staff: parse, decide through the shell, render. No rule and no SQL."""
