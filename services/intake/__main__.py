"""``python -m services.intake``: the service in a process of its own."""

from services.intake.app import create_app
from services.intake.settings import IntakeSettings
from shared.telemetry import logs
from shared.web.serve import Served, serve


def main() -> None:
    """Serve until told to stop."""
    logs.configure()
    settings = IntakeSettings()
    serve([Served(create_app(settings), settings.intake_host, settings.intake_port)])


if __name__ == "__main__":
    main()
