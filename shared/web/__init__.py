"""The HTTP frame that the services share."""
