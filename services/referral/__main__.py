"""``python -m services.referral``: the service in a process of its own."""

from services.referral.app import SERVICE, create_app
from services.referral.settings import ReferralSettings
from shared.web.connection import Bounds
from shared.web.process import start
from shared.web.server import Served


def served() -> Served:
    """Return the service, as the environment says."""
    settings = ReferralSettings()
    bounds = Bounds(settings.connections, settings.request_seconds)
    return Served(SERVICE, create_app(settings), settings.referral_host, settings.referral_port, bounds)


if __name__ == "__main__":
    start(served)
