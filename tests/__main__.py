"""Every check and every test, in one command: ``python -m tests``, which ``make test`` calls.

The quick checks of the code run first, and all of them run even when one fails: a contributor wants the whole list.
pytest comes last, so that its closing line is the last line of a run that passes. Arguments go to pytest. Two processes
share the tests out, each with a database and a broker of its own: most tests wait for one of them, and while one
process waits the other is at work.

However the run is stopped, pytest is never killed: it is asked to end and waited for, because the databases and brokers
that the tests started are its descendants.
"""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from deploy.setup.progress import Stage

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Check:
    """A tool run over the whole tree; exit code 0 means that it found nothing."""

    name: str
    command: tuple[str, ...]


CHECKS = (
    Check("lint", (PYTHON, "-m", "ruff", "check", "--quiet", ".")),
    Check("format", (PYTHON, "-m", "ruff", "format", "--check", "--quiet", ".")),
    Check("walls", (PYTHON, str(Path(PYTHON).with_name("lint-imports")), "--no-logo")),
    Check("types", (PYTHON, "-m", "mypy", ".")),
)
PYTEST = (PYTHON, "-m", "pytest", "--numprocesses=2", "--dist=worksteal")


def main(arguments: list[str]) -> int:
    """Run everything; return 0 only if all of it passed."""
    try:
        failed = [check.name for check in CHECKS if not passes(check)]
    except KeyboardInterrupt:
        return INTERRUPTED
    if wait_for(PYTEST, *arguments) != 0:
        failed.append("tests")
    if failed:
        sys.stderr.write(f"Failed: {', '.join(failed)}\n")
    return 1 if failed else 0


def passes(check: Check) -> bool:
    """Run one check and say how it went, with the tool's own words when it found something."""
    with Stage(check.name) as stage:
        done = subprocess.run(check.command, cwd=ROOT, capture_output=True, text=True, check=False)
        stage.ends_with("ok" if done.returncode == 0 else "FAILED")
    if done.returncode != 0:
        sys.stdout.write(f"{done.stdout}{done.stderr}\n")
    return done.returncode == 0


def wait_for(command: tuple[str, ...], *arguments: str) -> int:
    """Run a command until it ends by itself, and return its exit code.

    Ctrl-C reaches it from the terminal; a request to this process to end is passed on as the same interrupt.
    """
    process = subprocess.Popen([*command, *arguments], cwd=ROOT)
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    signal.signal(signal.SIGTERM, interrupt(process))
    return process.wait()


def interrupt(process: "subprocess.Popen[bytes]") -> Callable[[int, FrameType | None], None]:
    """Return a signal handler that interrupts ``process``."""

    def handler(_number: int, _frame: FrameType | None) -> None:
        process.send_signal(signal.SIGINT)

    return handler


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
