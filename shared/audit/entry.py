"""The bytes of an audit entry: the same entry always gives the same bytes, and only codes and ids get in.

The encoding is fixed for ever, because commitments are made of it: a JSON object (RFC 8259) in ASCII, without spaces,
with its members in alphabetical order: ``actor``, ``at`` (RFC 3339, UTC, microseconds, ``Z``), ``case`` (left out
where there is none), ``code``, ``detail`` (left out where it is empty), ``subject`` and ``v``, which is 1. An entry
is read back, shown and exported as these very bytes, and never encoded again to check it. What must never happen:
that a sentence or a name is written here.
"""

import re
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Final

from pydantic_core import to_json

from shared.contracts.coded import Coded
from shared.contracts.entries import Entry, EntryCode

VERSION: Final = 1

_WORD: Final = re.compile(r"[\x21-\x7e]{1,200}")
"""A code or an id, whoever made it: printable ASCII without a space."""
_VALUE: Final = re.compile(r"[\x21-\x7e]{0,200}|(?=.{1,1000}\Z)[a-z0-9._-]{1,64}( [a-z0-9._-]{1,64})+")
"""A code or an id, or several in lower case with one space between: no capital, accent or comma joins words here."""


class EntryFault(StrEnum):
    """Why an entry is not written down."""

    MALFORMED = "entry-malformed"
    """Its code is none of ours, its time has no time zone, or a detail is no code and no id."""


class EntryRefusedError(Coded[EntryFault]):
    """An entry that says more, or less, than an audit trail may. Carries the code, and nothing of the entry."""


def encode_entry(entry: Entry) -> bytes:
    """Return the bytes of an entry.

    Raises:
        EntryRefusedError: ``entry-malformed``.
    """
    if not _is_sound(entry):
        raise EntryRefusedError(EntryFault.MALFORMED)
    members: dict[str, object] = {"actor": entry.actor, "at": _timestamp(entry.at.astimezone(UTC))}
    if entry.case is not None:
        members["case"] = str(entry.case)
    members["code"] = entry.code.value
    if entry.detail:
        members["detail"] = dict(sorted(entry.detail.items()))
    members |= {"subject": str(entry.subject), "v": VERSION}
    return to_json(members)


def _is_sound(entry: Entry) -> bool:
    return (
        isinstance(entry.code, EntryCode)
        and entry.at.tzinfo is not None
        and all(map(_WORD.fullmatch, (entry.actor, *entry.detail)))
        and all(map(_VALUE.fullmatch, entry.detail.values()))
    )


@lru_cache(maxsize=64)
def _timestamp(at: datetime) -> str:
    """Return the moment ``at``, which is in UTC, as it is written; the entries of a batch share one."""
    return at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
