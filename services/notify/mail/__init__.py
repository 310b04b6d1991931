"""Mail: composed, handed to a mail server, and accounted for."""
