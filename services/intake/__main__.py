"""``python -m services.intake``: the service in a process of its own."""

from services.intake.app import SERVICE, create_app
from services.intake.settings import IntakeSettings
from shared.web.connection import Bounds
from shared.web.process import start
from shared.web.server import Served


def served() -> Served:
    """Return the service, as the environment says."""
    settings = IntakeSettings()
    proxies = [str(network) for network in settings.intake_trusted_proxies]
    bounds = Bounds(settings.connections, settings.request_seconds)
    return Served(SERVICE, create_app(settings), settings.intake_host, settings.intake_port, bounds, proxies)


if __name__ == "__main__":
    start(served)
