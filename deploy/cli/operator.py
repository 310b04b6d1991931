"""Who does what leaves an entry in a node's log: the name that they give, and the login that the system knows.

What must never happen: somebody who is no operator of the organisation does it, where there is a list of who is.
"""

import os
import pwd
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.cli.console import CliCode, CliError
from shared.contracts.ids import StaffId
from shared.staff import STAFF_FILE, Role, StaffBook, StaffError

_OPERATOR: Final = re.compile(r"[a-z0-9]+([._-][a-z0-9]+)*")
_LOGIN: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts: the name that they give, and the login of the process in which they gave it."""

    name: str
    login: str

    @classmethod
    def of(cls, named: str | None, folder: Path) -> "Operator":
        """Return who acts; without a name it is the login.

        Args:
            named: whom they say that they are.
            folder: the node's. Where it has a ``staff.json``, they must be an operator in it.

        Raises:
            CliError: ``operator-malformed``, ``operator-unknown`` or ``staff-unreadable``.
        """
        login = _login()
        name = named or login
        if not _OPERATOR.fullmatch(name):
            raise CliError(
                CliCode.OPERATOR_MALFORMED,
                "--operator names who acts: small letters, digits and single . _ - between",
            )
        try:
            member = StaffBook.load(folder / STAFF_FILE).member(StaffId(name))
        except StaffError as refused:
            if refused.code == "staff-missing" and not (folder / STAFF_FILE).exists():
                return cls(name, login)
            raise CliError(CliCode.STAFF_UNREADABLE, f"{folder / STAFF_FILE} cannot be read: {refused}") from None
        if member is None or Role.OPERATOR not in member.roles:
            raise CliError(
                CliCode.OPERATOR_UNKNOWN, f"no operator in {folder / STAFF_FILE} has the name that was given"
            )
        return cls(name, login)


def _login() -> str:
    """Return the user that this process runs as, by the system and not by the environment: the name, or the number."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = ""
    return name if _LOGIN.fullmatch(name) else f"uid-{number}"
