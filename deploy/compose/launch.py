"""Becomes a service in a container, with its secrets: ``python -m deploy.compose.launch services.intake``.

A Compose file must not hold a password, and a container must see no password but its own. So ``prepare`` writes them to
the folder of the one container that needs them, and this program puts them into the environment that the service reads
its settings from, and becomes the service: no process stands between it and the signals that stop it.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.files import write_private

ENVIRONMENT_FILE: Final = "environment"
FOLDER: Final = Path("/var/lib/relais")
PREFIX: Final = "RELAIS_"


def write_environment(path: Path, variables: Mapping[str, str]) -> None:
    """Write ``variables``, one ``NAME=value`` a line, readable by the service's own user only.

    Raises:
        ValueError: a name is not one of ours, or a value has a line break.
    """
    for name, value in variables.items():
        if not name.startswith(PREFIX) or "\n" in value:
            message = f"{name} cannot be written"
            raise ValueError(message)
    write_private(path, "".join(f"{name}={value}\n" for name, value in variables.items()))


def read_environment(path: Path) -> dict[str, str]:
    """Return what :func:`write_environment` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", maxsplit=1) for line in lines)


def main(module: str) -> None:
    """Become ``module``; does not return."""
    environment = {**os.environ, **read_environment(FOLDER / ENVIRONMENT_FILE)}
    os.execve(sys.executable, [sys.executable, "-m", module], environment)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1])
