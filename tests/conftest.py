"""What every test may ask for; the servers themselves are in tests/support/servers.py."""

pytest_plugins = ["tests.support.servers"]
