"""The organisation's own people: who may do what, and how each is told that something waits.

They are read from ``staff.json`` in the node's folder. A member is recognised by a bearer token of which only the
SHA-256 is kept.

What must never happen: a member is called like somebody else whom the audit log names, or signs in with the token of
another: nobody could tell who did it.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from secrets import token_urlsafe
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import from_json

from shared.contracts.coded import Coded
from shared.contracts.ids import ORGANISATION_PATTERN, Staff, StaffId
from shared.contracts.problem import field_problems
from shared.files import SECRET_MODE, write_atomically
from shared.mail_address import MailAddress
from shared.time_zone import TimeZone

STAFF_FILE: Final = "staff.json"
"""Its name in the node's folder."""

RESERVED: Final = frozenset({"clock", "reporter"})
"""Who acts besides members and organisations: time that has run out, and whoever makes a report."""


class Role(StrEnum):
    """What a member of staff is there for, which decides what they may do."""

    CASEWORKER = "caseworker"
    COORDINATOR = "coordinator"
    VOLUNTEER = "volunteer"
    DATA_PROTECTION_OFFICER = "data-protection-officer"
    OPERATOR = "operator"


class StaffMember(BaseModel):
    """One of the organisation's own people."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Staff
    roles: frozenset[Role]
    languages: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")], ...] = ("fr",)
    """ISO 639-1, the preferred one first; what they read, not what they speak with people."""
    email: MailAddress | None = None
    time_zone: TimeZone = "Europe/Paris"
    token_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class _Named(BaseModel):
    """Whoever has an id, whatever else is said of them."""

    id: Staff


class StaffError(Coded[str]):
    """Nobody can be known: ``staff.json`` cannot be read; ``code`` says why, and ``where``, if it is known, where."""

    def __init__(self, code: str, where: str = "") -> None:
        """Take the ``code``, and ``where``: a member's id and the name of a field, never what stands there."""
        super().__init__(code, where)
        self.where: Final = where


class StaffBook:
    """Finds members by token and by id."""

    def __init__(self, members: Iterable[StaffMember]) -> None:
        """Take everybody."""
        self.members = tuple(members)
        self._by_id = {member.id: member for member in self.members}
        self._by_token = {member.token_sha256: member for member in self.members}

    @classmethod
    def load(cls, path: Path) -> "StaffBook":
        """Read ``staff.json``: a list of members.

        Raises:
            StaffError: ``staff-missing``, ``staff-malformed``, ``staff-id-reserved``: an id that another actor has, or
                ``staff-id-repeated``, ``staff-token-repeated``: two members have one.
        """
        try:
            text = path.read_bytes()
        except OSError:
            raise StaffError("staff-missing") from None
        try:
            members = TypeAdapter(tuple[StaffMember, ...]).validate_json(text)
        except ValidationError as error:
            raise StaffError("staff-malformed", _first_wrong(text, error)) from None
        if any(is_reserved(member.id) for member in members):
            raise StaffError("staff-id-reserved")
        book = cls(members)
        if len(book._by_id) < len(members):
            raise StaffError("staff-id-repeated")
        if len(book._by_token) < len(members):
            raise StaffError("staff-token-repeated")
        return book

    def save(self, path: Path) -> None:
        """Write ``staff.json``, readable by the node's own user only."""
        write_atomically(path, TypeAdapter(tuple[StaffMember, ...]).dump_json(self.members, indent=2), SECRET_MODE)

    def with_token(self, token: str) -> StaffMember | None:
        """Return the member whose token this is; comparing takes the same time for every wrong one."""
        digest = token_digest(token)
        member = self._by_token.get(digest)
        return member if member is not None and compare_digest(member.token_sha256, digest) else None

    def member(self, staff: StaffId) -> StaffMember | None:
        """Return the member with the id ``staff``."""
        return self._by_id.get(staff)


def _first_wrong(text: bytes, error: ValidationError) -> str:
    """Return whose field ``error`` is about first, such as ``ana: email``; nothing where there are no members.

    Whoever has no id that could be said is called by their place in the list, from 1.
    """
    first = field_problems(error.errors(include_input=False, include_url=False))[0]
    _, *place = first.pointer.split("/")
    if not place:
        return ""
    nth = int(place[0])
    field = place[1] if place[1:] else first.code
    try:
        return f"{_Named.model_validate(from_json(text)[nth]).id}: {field}"
    except ValidationError:
        return f"member {nth + 1}: {field}"


def is_reserved(staff: str) -> bool:
    """Tell whether an id is another actor's, or has the form of an organisation's, which all may become partners."""
    return staff in RESERVED or re.fullmatch(ORGANISATION_PATTERN, staff) is not None


def new_token() -> str:
    """Return a fresh bearer token: 256 random bits, base64url."""
    return token_urlsafe(32)


def token_digest(token: str) -> str:
    """Return the lower-case hexadecimal SHA-256 of ``token``, which is all that is kept of it."""
    return sha256(token.encode()).hexdigest()
