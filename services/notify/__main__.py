"""``python -m services.notify``: the service in a process of its own."""

from services.notify.app import create_app
from services.notify.settings import NotifySettings
from shared.telemetry import logs
from shared.web.serve import Served, serve


def main() -> None:
    """Serve until told to stop."""
    logs.configure()
    settings = NotifySettings()
    serve([Served(create_app(settings), settings.notify_host, settings.notify_port)])


if __name__ == "__main__":
    main()
