"""Makes ``.venv`` from ``requirements.lock``: ``python3 -m deploy.setup``, which make calls when the lock has changed.

Runs on the machine's own Python with the standard library alone. Every package is checked against its hash in the
lock; nothing is written outside this folder and pip's cache. The stamp ``.venv/ready`` comes last, so that an
interrupted set-up is taken up again.
"""

import fcntl
import importlib.util
import subprocess
import sys
from pathlib import Path

from deploy.setup.progress import Stage

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
COMMAND = ENVIRONMENT / "bin" / "relais"
STAMP = ENVIRONMENT / "ready"
LOCK = ROOT / "requirements.lock"
LOG = ROOT / "build" / "setup.log"


class SetupError(Exception):
    """The set-up cannot go on; the message says what helps."""


def main() -> int:
    """Set up, one set-up at a time, and return the exit code."""
    LOG.parent.mkdir(exist_ok=True)
    try:
        with (LOG.parent / "setup.busy").open("w") as busy:
            fcntl.flock(busy, fcntl.LOCK_EX)
            environment()
            packages()
            command()
            STAMP.touch()
    except SetupError as error:
        sys.stderr.write(f"make: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("make: stopped; the next one takes up from here\n")
        return 130
    return 0


def environment() -> None:
    """Make the virtual environment, or keep the one that works."""
    with Stage("python") as stage:
        if not works(PYTHON, "sys"):
            arguments = ["--clear"] if has("ensurepip") else ["--clear", "--without-pip"]
            run(
                [sys.executable, "-m", "venv", *arguments, str(ENVIRONMENT)],
                stage,
                "Python cannot make a virtual environment.",
            )
        stage.ends_with(f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}")


def packages() -> None:
    """Install what the lock names, each package checked against its hash."""
    with Stage("packages") as stage:
        run(
            [*pip(), "install", "--no-input", "--progress-bar", "off", "--require-hashes", "-r", str(LOCK)],
            stage,
            "pip failed.",
        )
        names = [line for line in LOCK.read_text().splitlines() if "==" in line and line[0].isalnum()]
        stage.ends_with(f"{len(names)} from {LOCK.name}")


def pip() -> list[str]:
    """Return the pip that installs into the environment: its own, or that of the machine's Python."""
    if works(PYTHON, "pip"):
        return [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]
    if has("pip"):
        return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(PYTHON)]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    message = (
        f"This Python has neither ensurepip nor pip: sudo apt install python{version}-venv (Debian, Ubuntu), "
        "or name another one: make PYTHON=/path/to/python3"
    )
    raise SetupError(message)


def command() -> None:
    """Make the ``relais`` command of this checkout, and let the environment's Python find the project's folders."""
    with Stage("relais") as stage:
        COMMAND.write_text(f'#!/bin/sh\nexec "{PYTHON}" -m deploy.cli "$@"\n')
        COMMAND.chmod(0o755)
        (site_packages() / "relais.pth").write_text(f"{ROOT}\n")
        stage.ends_with(str(COMMAND.relative_to(ROOT)))


def site_packages() -> Path:
    """Return the folder of the environment that its packages live in."""
    return next(ENVIRONMENT.glob("lib/python3.*/site-packages"))


def has(module: str) -> bool:
    """Tell whether this Python can import ``module``."""
    return importlib.util.find_spec(module) is not None


def works(python: Path, module: str) -> bool:
    """Tell whether ``python`` starts and imports ``module``."""
    if not python.exists():
        return False
    return subprocess.run([str(python), "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def run(arguments: list[str], stage: Stage, failure: str) -> None:
    """Run a command, its words in the log and the latest of them on the screen.

    Raises:
        SetupError: the command failed; the message ends with its last words and where the rest is.
    """
    last: list[str] = []
    with (
        LOG.open("a") as log,
        subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process,
    ):
        for line in process.stdout or ():
            log.write(line)
            last = [*last[-2:], line.strip()]
            if line.startswith(("Collecting", "Downloading", "Installing")):
                stage.now(line.strip()[:60])
    if process.returncode != 0:
        raise SetupError("\n  ".join([failure, *last, f"All of it: {LOG.relative_to(ROOT)}"]))


if __name__ == "__main__":
    sys.exit(main())
