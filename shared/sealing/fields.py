"""How bytes and times stand in the JSON of documents and keyrings, and the rule that such JSON has one spelling.

A statement is read strictly and written again: where the two differ by a byte, it is refused. So duplicate or unknown
members, other orders, spaces, escapes and other spellings of a number all fail at once, and no two readers disagree.
"""

import base64
import binascii
from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, ValidationError, WithJsonSchema

from shared.sealing.timestamp import PATTERN, decode_time, encode_time


class Statement(BaseModel):
    """Something that is signed, or kept under a passphrase: immutable, strict, and silent about what it refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


_Statement = TypeVar("_Statement", bound=Statement)


def encode_base64(raw: bytes) -> str:
    """Return RFC 4648 base64, padded, on one line."""
    return base64.b64encode(raw).decode("ascii")


def decode_base64(text: str, length: int | None = None) -> bytes:
    """Return the bytes; ``length`` is how many there have to be.

    Raises:
        ValueError: not base64, not its one spelling, or another length.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None
    if encode_base64(raw) != text or (length is not None and len(raw) != length):
        raise ValueError
    return raw


def _bytes_in(value: object) -> bytes:
    match value:
        case bytes():
            return value
        case str():
            return decode_base64(value)
        case _:
            raise ValueError


def _time_in(value: object) -> datetime:
    match value:
        case datetime():
            return value
        case str():
            return decode_time(value)
        case _:
            raise ValueError


Base64 = Annotated[
    bytes,
    PlainValidator(_bytes_in),
    PlainSerializer(encode_base64, return_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
"""Bytes, in JSON as base64."""

Time = Annotated[
    datetime,
    PlainValidator(_time_in),
    PlainSerializer(encode_time, return_type=str),
    WithJsonSchema({"type": "string", "pattern": PATTERN}),
]
"""A moment, in JSON as ``2026-11-24T10:20:00Z``."""


def spell(statement: Statement) -> str:
    """Return the one spelling of a statement: JSON without spaces, members in the order in which they are declared."""
    return statement.model_dump_json()


def read_exactly(kind: type[_Statement], text: str) -> _Statement:
    """Return the statement that ``text`` spells.

    Raises:
        ValueError: it is not one of this ``kind``, or not in its one spelling. Says nothing of what it was.
    """
    try:
        statement = kind.model_validate_json(text)
    except ValidationError:
        message = "not a statement of this kind"
        raise ValueError(message) from None
    if spell(statement) != text:
        message = "not the one spelling of this statement"
        raise ValueError(message)
    return statement
