"""``python -m services.notify``: the service in a process of its own."""

from services.notify.app import SERVICE, create_app
from services.notify.settings import NotifySettings
from shared.web.connection import Bounds
from shared.web.process import start
from shared.web.server import Served


def served() -> Served:
    """Return the service, as the environment says."""
    settings = NotifySettings()
    bounds = Bounds(settings.connections, settings.request_seconds)
    return Served(SERVICE, create_app(settings), settings.notify_host, settings.notify_port, bounds)


if __name__ == "__main__":
    start(served)
