"""Asks the service in this container whether it is ready: the health check of Compose. Exit code 0 means yes."""

import sys
import urllib.error
import urllib.request
from typing import Final

READY: Final = "http://127.0.0.1:8000/health/ready"
SECONDS: Final = 3.0


def is_ready(address: str = READY) -> bool:
    """Tell whether the service answers that it reaches all that it depends on."""
    try:
        with urllib.request.urlopen(address, timeout=SECONDS):  # noqa: S310 - the address is ours
            return True
    except (urllib.error.URLError, TimeoutError):
        return False


if __name__ == "__main__":
    sys.exit(0 if is_ready() else 1)
