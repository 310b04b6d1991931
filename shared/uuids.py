"""UUIDs (RFC 9562) of the class that asyncpg reads from the database: the standard library's, made in C.

They are equal to, hashed and shown as the standard library's, and are such (``isinstance``); one is made, written as
text and put into a statement several times as fast, and a message has a dozen of them.
"""

import os
from typing import Final
from uuid import UUID

from asyncpg.pgproto.pgproto import UUID as PostgresUUID  # noqa: N811 - a class

BYTES: Final = 16
AT_ONCE: Final = 256
"""How many random ones are made together: asking the system for random bytes takes longer than all the rest."""

_fresh: Final[list[UUID]] = []
os.register_at_fork(after_in_child=_fresh.clear)


def random_uuid() -> UUID:
    """Return a random UUID (version 4, RFC 9562, 5.4)."""
    try:
        return _fresh.pop()
    except IndexError:
        first, *others = _random_uuids()
        _fresh.extend(others)
        return first


def _random_uuids() -> list[UUID]:
    raw = bytearray(os.urandom(AT_ONCE * BYTES))
    raw[6::BYTES] = bytes(each & 0x0F | 0x40 for each in raw[6::BYTES])
    raw[8::BYTES] = bytes(each & 0x3F | 0x80 for each in raw[8::BYTES])
    return [PostgresUUID(bytes(raw[start : start + BYTES])) for start in range(0, len(raw), BYTES)]


def uuid_of(value: bytes | str) -> UUID:
    """Return the UUID that ``value`` is: 16 bytes, or the 36 characters.

    Raises:
        ValueError: it is neither.
    """
    return PostgresUUID(value)  # type: ignore[type-var]  # stubs that know only half of what it takes


def in_order(value: UUID) -> bytes:
    """Return what UUIDs are sorted by, as PostgreSQL sorts them: the standard library compares them in Python."""
    return value.bytes
