"""The desk: decides, and alone reads personal data."""
