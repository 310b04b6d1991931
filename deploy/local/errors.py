"""What can go wrong while a private server is brought up: each kind with a code that stays and a sentence that helps.

An error names programs, folders and ports of this machine. It never holds a password, and never a message or a row.
"""

from enum import StrEnum
from pathlib import Path

from shared.contracts.coded import Told

LOG_LINES = 12
"""How much of a server's log a person is shown when it dies."""


class LocalCode(StrEnum):
    """Stable codes; a program may compare them, a person may look them up."""

    NODE_ALREADY_RUNNING = "node-already-running"
    FOLDER_UNUSABLE = "folder-unusable"
    FOLDER_NOT_OURS = "folder-not-ours"
    PORT_TAKEN = "port-taken"
    SERVER_MISSING = "server-missing"
    SERVER_UNUSABLE = "server-unusable"
    SERVER_DIED = "server-died"
    SERVER_SILENT = "server-silent"
    ADDRESS_INCOMPLETE = "address-incomplete"
    ADDRESS_MALFORMED = "address-malformed"
    BROKER_NOT_OURS = "broker-not-ours"
    PACKAGE_FAILED = "package-failed"


class LocalError(Told[LocalCode]):
    """A private server cannot be brought up or driven."""


def log_tail(log: Path, lines: int = LOG_LINES) -> str:
    """Return the last ``lines`` non-empty lines of ``log``, or a word that says there is none."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:]) or "(empty log)"
