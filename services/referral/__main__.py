"""``python -m services.referral``: the service in a process of its own."""

from services.referral.app import create_app
from services.referral.settings import ReferralSettings
from shared.telemetry import logs
from shared.web.serve import Served, serve


def main() -> None:
    """Serve until told to stop."""
    logs.configure()
    settings = ReferralSettings()
    serve([Served(create_app(settings), settings.referral_host, settings.referral_port)])


if __name__ == "__main__":
    main()
