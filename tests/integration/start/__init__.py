"""How a process of services begins and ends."""
