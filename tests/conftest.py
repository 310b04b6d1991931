"""What every test may ask for; the servers themselves are in tests/support/servers.py."""

from hypothesis import settings

pytest_plugins = ["tests.support.servers"]

# A test has a time-out of its own; how long one example takes says nothing on a machine that is shared.
settings.register_profile("relais", deadline=None, print_blob=True)
settings.load_profile("relais")
