"""How a request is refused over HTTP: problem details (RFC 9457), stable codes, every field named, no value repeated.

A validation error of pydantic carries what was typed: in its inputs, in the names of unknown fields, in some messages.
This module is the only place that reads one; it lets nothing through but codes and the names of fields that we defined.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
"""A stable word for programs; the edge finds the sentence for it in the reader's language."""

MEDIA_TYPE = "application/problem+json"


class ProblemCode(StrEnum):
    """The refusals that every service shares. Each service has further ones of its own."""

    MALFORMED = "request-malformed"
    INVALID = "fields-invalid"
    TOO_LARGE = "request-too-large"
    TOO_SLOW = "request-too-slow"
    """It was not all there in time."""
    MEDIA_TYPE = "media-type-unsupported"
    NOT_SIGNED_IN = "not-signed-in"
    NOT_FOUND = "not-found"
    """It is not there, or it is not for this reader: the two look the same."""
    METHOD = "method-not-allowed"
    REFUSED = "request-refused"
    TOO_MANY = "too-many-requests"
    KEY_REUSED = "idempotency-key-reused"
    """The caller's name for a request stands for another one, or for one of too long ago to be answered again."""
    BUSY = "too-many-connections"
    """So many are connected already that nothing was read."""
    AWAY = "try-again"
    FAILED = "our-fault"


class FieldCode(StrEnum):
    """What is wrong with one field."""

    MISSING = "missing"
    UNKNOWN = "unknown-field"
    NOT_IN_LIST = "not-in-list"
    WRONG_TYPE = "wrong-type"
    WRONG_FORM = "wrong-form"
    TOO_SHORT = "too-short"
    TOO_LONG = "too-long"
    OUT_OF_RANGE = "out-of-range"
    NOT_JSON = "not-json"


class FieldProblem(BaseModel):
    """One field that cannot be taken as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pointer: str
    """A JSON pointer (RFC 6901) such as ``/person/age_band``; the empty string is the whole body."""
    code: Code


def problem_type(code: str) -> str:
    """Return the URI that names ``code``: a URN, because nobody needs to look anything up to act on it."""
    return f"urn:relais:problem:{code}"


def field_problems(errors: Iterable[Mapping[str, Any]]) -> tuple[FieldProblem, ...]:
    """Put pydantic's list of errors into fields and codes, in the order of the list, each once.

    ``errors`` is what ``ValidationError.errors()`` or FastAPI's ``RequestValidationError.errors()`` returns; the places
    in it that repeat what was typed are not read. An unknown field's name was typed too: its parent is named instead.
    """
    found = (problem for error in errors for problem in _problems_of(error))
    return tuple(dict.fromkeys(found))


def _problems_of(error: Mapping[str, Any]) -> list[FieldProblem]:
    kind, place = str(error["type"]), list(error["loc"])
    if place and place[0] in _PLACES:
        del place[0]
    if kind == "extra_forbidden":
        return [FieldProblem(pointer=_pointer(place[:-1]), code=FieldCode.UNKNOWN)]
    if kind == "json_invalid":
        return [FieldProblem(pointer="", code=FieldCode.NOT_JSON)]
    together = str(error.get("ctx", {}).get("fields", "")).split() if "-" in kind else []
    if together:
        return [FieldProblem(pointer=_pointer([*place, *name.split(".")]), code=kind) for name in together]
    return [FieldProblem(pointer=_pointer(place), code=kind if "-" in kind else _CODES.get(kind, _by_ending(kind)))]


def _pointer(place: Iterable[object]) -> str:
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in place)


_PLACES = ("body", "query", "path", "header", "cookie")
"""Where a value came from over HTTP: FastAPI puts it in front."""

_CODES: Mapping[str, FieldCode] = {
    "missing": FieldCode.MISSING,
    "enum": FieldCode.NOT_IN_LIST,
    "literal_error": FieldCode.NOT_IN_LIST,
    "union_tag_invalid": FieldCode.NOT_IN_LIST,
    "union_tag_not_found": FieldCode.MISSING,
    "string_pattern_mismatch": FieldCode.WRONG_FORM,
    "timezone_aware": FieldCode.WRONG_FORM,
    "value_error": FieldCode.WRONG_FORM,
}


def _by_ending(kind: str) -> FieldCode:
    """Return our code for one of the families of pydantic's error types, which share their endings."""
    if kind.endswith("too_short"):
        return FieldCode.TOO_SHORT
    if kind.endswith(("too_long", "too_large")):
        return FieldCode.TOO_LONG
    if kind.startswith(("greater_than", "less_than", "date_past", "date_future", "datetime_past", "datetime_future")):
        return FieldCode.OUT_OF_RANGE
    if kind.endswith(("_parsing", "_invalid", "_inexact", "_unicode")):
        return FieldCode.WRONG_FORM
    return FieldCode.WRONG_TYPE
