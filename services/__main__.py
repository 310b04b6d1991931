"""``python -m services``: the three services of a node in one process, for a small organisation. The same behaviour."""

from services.intake.app import create_app as create_intake
from services.intake.settings import IntakeSettings
from services.notify.app import create_app as create_notify
from services.notify.settings import NotifySettings
from services.referral.app import create_app as create_referral
from services.referral.settings import ReferralSettings
from shared.telemetry import logs
from shared.web.serve import Served, serve


def main() -> None:
    """Serve until told to stop."""
    logs.configure()
    intake, referral, notify = IntakeSettings(), ReferralSettings(), NotifySettings()
    serve(
        [
            Served(create_intake(intake), intake.intake_host, intake.intake_port),
            Served(create_referral(referral), referral.referral_host, referral.referral_port),
            Served(create_notify(notify), notify.notify_host, notify.notify_port),
        ]
    )


if __name__ == "__main__":
    main()
