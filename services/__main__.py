"""``python -m services``: the three services of a node in one process, for a small organisation. The same behaviour."""

from services.intake.__main__ import served as intake
from services.notify.__main__ import served as notify
from services.referral.__main__ import served as referral
from shared.web.process import start

if __name__ == "__main__":
    start(intake, referral, notify)
