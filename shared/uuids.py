"""UUIDs (RFC 9562) of the class that asyncpg reads from the database: the standard library's, made in C.

They are equal to, hashed and shown as the standard library's, and are such (``isinstance``); one is made, written as
text and put into a statement several times as fast, and a message has a dozen of them.
"""

from os import urandom
from typing import Final
from uuid import UUID

from asyncpg.pgproto.pgproto import UUID as PostgresUUID  # noqa: N811 - a class

BYTES: Final = 16


def random_uuid() -> UUID:
    """Return a random UUID (version 4, RFC 9562, 5.4)."""
    raw = bytearray(urandom(BYTES))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return PostgresUUID(bytes(raw))


def uuid_of(value: bytes | str) -> UUID:
    """Return the UUID that ``value`` is: 16 bytes, or the 36 characters.

    Raises:
        ValueError: it is neither.
    """
    return PostgresUUID(value)  # type: ignore[type-var]  # stubs that know only half of what it takes


def in_order(value: UUID) -> bytes:
    """Return what UUIDs are sorted by, as PostgreSQL sorts them: the standard library compares them in Python."""
    return value.bytes
