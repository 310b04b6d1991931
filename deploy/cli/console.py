"""How a command answers: in lines for people, as JSON for programs, and in one sentence with a code when it cannot.

What must never happen: a traceback, a password or the inside of a message on somebody's screen.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import asyncpg

from deploy.cli.audit_log import AuditCode, AuditError
from deploy.local.errors import LocalError
from shared.contracts.coded import Told
from shared.remedies import remedy
from shared.storage.pool import will_pass

FAILED: Final = 1
"""The exit code when something was found to be wrong, or could not be done."""
ASKED_WRONGLY: Final = 2
"""The exit code when the command was not told what it needs."""


class CliCode(StrEnum):
    """Why a command does nothing."""

    NODE_NOT_FOUND = "node-not-found"
    OPERATOR_MALFORMED = "operator-malformed"
    OPERATOR_UNKNOWN = "operator-unknown"
    STAFF_UNREADABLE = "staff-unreadable"
    CONFIRMATION_NEEDED = "confirmation-needed"
    NOT_CONFIRMED = "not-confirmed"
    NOT_PARKED = "not-parked"
    NOT_KEPT = "not-kept"
    MESSAGE_OR_REASON = "message-or-reason"
    DATABASE_AWAY = "database-away"
    DATABASE_REFUSED = "database-refused"
    FILE_UNUSABLE = "file-unusable"
    FAILED = "failed"


ASKED: Final = frozenset(
    {
        CliCode.NODE_NOT_FOUND,
        CliCode.OPERATOR_MALFORMED,
        CliCode.OPERATOR_UNKNOWN,
        CliCode.CONFIRMATION_NEEDED,
        CliCode.MESSAGE_OR_REASON,
        AuditCode.NOT_TOLD,
    }
)


class CliError(Told[CliCode]):
    """A command cannot do what was asked."""


def say(value: object, text: str, *, as_json: bool) -> None:
    """Print ``value`` for a program or ``text`` for a person."""
    sys.stdout.write(f"{json.dumps(value, indent=2)}\n" if as_json else f"{text}\n")


@contextmanager
def answering(*, as_json: bool) -> Iterator[None]:
    """End the process with one sentence when what is in the block cannot be done.

    Raises:
        SystemExit: 1, or 2 when the command was asked wrongly.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, a traceback could hold what nobody may see
        code, sentence = why(error)
        if as_json:
            say({"error": {"code": code, "sentence": sentence}}, "", as_json=True)
        sys.stderr.write(f"{code}: {sentence}\n")
        raise SystemExit(ASKED_WRONGLY if code in ASKED else FAILED) from None


def why(error: BaseException) -> tuple[str, str]:
    """Return the code and the sentence for ``error``; a sentence of a library is never repeated.

    Of what nobody foresaw the class is said, and nothing else.
    """
    match error:
        case CliError() | AuditError() | LocalError():
            return str(error.code), error.sentence
        case asyncpg.InvalidAuthorizationSpecificationError() | asyncpg.InvalidCatalogNameError():
            return (
                CliCode.DATABASE_REFUSED,
                "the database does not take this role, or is not there: see RELAIS_*_DATABASE",
            )
        case FileNotFoundError() | PermissionError() | IsADirectoryError() if error.filename is not None:
            return CliCode.FILE_UNUSABLE, f"{error.filename}: {(error.strerror or '').lower()}"
        case _ if will_pass(error):
            return CliCode.DATABASE_AWAY, "the database does not answer: start it, or see RELAIS_*_DATABASE"
        case asyncpg.PostgresError():
            return CliCode.DATABASE_REFUSED, f"the database refuses ({type(error).__name__}): is its schema up to date?"
        case _:
            return _by_its_code(error)


def _by_its_code(error: BaseException) -> tuple[str, str]:
    code = getattr(error, "code", None)
    if not isinstance(code, str):
        return CliCode.FAILED, f"it could not be done ({type(error).__name__})"
    return str(code), remedy(code, "*") or "it is refused"
