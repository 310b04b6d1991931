"""The one closed list of what may be said about a running node: in a log line, on a span or as a label of a metric.

Telemetry goes to operators, to collectors and into backups, so that it must never say anything about a person. Whatever
is not on this list is dropped and counted; nothing here raises, because telemetry must not break what it watches. A
name alone is not trusted: the value must have the shape of its kind as well, so that free text cannot ride in an
allowed key.

What must never happen: a key is added here whose values somebody types or chooses (a name, an address, a text, a
nationality, a form of exploitation, an offered service, a packet's category, the name that a member of staff signs in
with).
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

Value = str | int | float
"""What is left of a value that was admitted."""


class Kind(StrEnum):
    """What a value must look like."""

    ID = "id"
    """A random UUID, an organisation id, or 8, 16 or 32 bytes in lower-case hexadecimal."""
    CODE = "code"
    """A word of the program, in lower case: ``envelope-altered``, ``referral.accepted.v1``, ``no_capacity``."""
    QUEUE = "queue"
    """A queue, which is a code, or that of a pair of organisations: ``to.abri-be.from.ccem-fr``."""
    COUNT = "count"
    """An integer from 0 to 99,999,999: too short for a telephone number with its country."""
    DURATION = "duration"
    """Seconds, from 0 up to some months."""
    ERROR = "error"
    """The class name of an exception that this process has loaded."""
    PLACE = "place"
    """Where in the source something was raised: ``shared.messaging.shell:112``."""
    ROUTE = "route"
    """A template such as ``/referrals/{referral}/accept``, never the path that was asked for."""


ALLOWED: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        # whose it is: random numbers and organisations
        "message_id": Kind.ID,
        "held_id": Kind.ID,
        "report_id": Kind.ID,
        "case_id": Kind.ID,
        "referral_id": Kind.ID,
        "conversation_id": Kind.ID,
        "notification_id": Kind.ID,
        "subject": Kind.ID,
        "digest": Kind.ID,
        "root": Kind.ID,
        "trace_id": Kind.ID,
        "span_id": Kind.ID,
        "organisation": Kind.ID,
        "sender": Kind.ID,
        "recipient": Kind.ID,
        "partner": Kind.ID,
        # what happened: words of the program
        "service": Kind.CODE,
        "code": Kind.CODE,
        "reason": Kind.CODE,
        "outcome": Kind.CODE,
        "type": Kind.CODE,
        "kind": Kind.CODE,
        "verdict": Kind.CODE,
        "urgency": Kind.CODE,
        "channel": Kind.CODE,
        "queue": Kind.QUEUE,
        "exchange": Kind.CODE,
        "dependency": Kind.CODE,
        "component": Kind.CODE,
        "schema": Kind.CODE,
        "signal": Kind.CODE,
        # how many and how long
        "count": Kind.COUNT,
        "size": Kind.COUNT,
        "attempt": Kind.COUNT,
        "pending": Kind.COUNT,
        "entries": Kind.COUNT,
        "sequence": Kind.COUNT,
        "expected": Kind.COUNT,
        "status": Kind.COUNT,
        "port": Kind.COUNT,
        "parked": Kind.COUNT,
        "seconds": Kind.DURATION,
        "limit": Kind.DURATION,
        # what went wrong, without its words
        "error": Kind.ERROR,
        "where": Kind.PLACE,
        # the edge
        "method": Kind.CODE,
        "route": Kind.ROUTE,
        # names of the OpenTelemetry semantic conventions that libraries and trace pages know
        "service.name": Kind.CODE,
        "service.namespace": Kind.ID,
        "service.instance.id": Kind.ID,
        "telemetry.sdk.language": Kind.CODE,
        "telemetry.sdk.name": Kind.CODE,
        "error.type": Kind.ERROR,
        "http.request.method": Kind.CODE,
        "http.response.status_code": Kind.COUNT,
        "http.route": Kind.ROUTE,
    }
)
"""Every name that may be said, and the kind of its values. The same names serve logs, spans and metrics."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""The HTTP methods that have a name here (RFC 9110, RFC 5789); any other is ``other``."""

OTHER: Final = "other"
"""What stands for a value that has no name here."""

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX: Final = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}|[0-9a-f]{64}")
_ORGANISATION: Final = re.compile(r"(?=.{4,40}$)[a-z0-9]+(-[a-z0-9]+)*-[a-z]{2}")
_CODE: Final = re.compile(r"(?=.{1,64}$)[a-z][a-z0-9]*([._-][a-z0-9]+){0,7}")
_LONG_NUMBER: Final = re.compile(r"[0-9]{5}|([0-9]{2}[._-]){3}")
_CLASS: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
_PLACE: Final = re.compile(r"(?=.{1,120}$)[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*:[0-9]{1,6}")
_SEGMENT: Final = r"\{[a-z_]{1,32}\}|\.?[a-z]+([._-][a-z]+)*[0-9]{0,2}"
_ROUTE: Final = re.compile(rf"(?=.{{1,120}}$)/|(/({_SEGMENT}))+/?")
_LIBRARY: Final = re.compile(r"(?=.{1,80}$)[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")

_MOST: Final = 99_999_999
_LONGEST: Final = 1e7


def admit(key: str, value: object) -> Value | None:
    """Return ``value`` as it may be said under ``key``, or ``None`` when it may not be said.

    UUIDs, enumerations and time spans become the text or number that stands for them; durations are in seconds.
    """
    kind = ALLOWED.get(key)
    return None if kind is None else _SHAPES[kind](value)


def admit_all(pairs: Mapping[str, object]) -> tuple[dict[str, Value], int]:
    """Return what may be said of ``pairs``, and how many were dropped. A pair whose value is ``None`` says nothing."""
    said: dict[str, Value] = {}
    dropped = 0
    for key, value in pairs.items():
        if value is None:
            continue
        admitted = admit(key, value)
        if admitted is None:
            dropped += 1
        else:
            said[key] = admitted
    return said, dropped


def is_code(text: object) -> bool:
    """Say whether ``text`` is a code: the only thing that names an event of the log or of a span."""
    return _code(text) is not None


def is_span_name(name: str) -> bool:
    """Say whether ``name`` is a code, two codes (an operation and its queue) or a method with its route's template."""
    first, blank, second = name.partition(" ")
    if not blank:
        return is_code(first)
    if first in METHODS or first == OTHER:
        return _route(second) is not None
    return is_code(first) and is_code(second)


def is_library(name: str) -> bool:
    """Say whether ``name`` is the dotted name of a module, as libraries name their loggers and tracers."""
    return _LIBRARY.fullmatch(name) is not None and not _LONG_NUMBER.search(name)


def _text(value: object) -> str | None:
    if isinstance(value, Enum):
        value = value.value
    return value if isinstance(value, str) else None


def _id(value: object) -> str | None:
    if isinstance(value, UUID):
        return str(value)
    text = _text(value)
    if text is None:
        return None
    shaped = _UUID.fullmatch(text) or _HEX.fullmatch(text) or _ORGANISATION.fullmatch(text)
    return text if shaped else None


def _code(value: object) -> str | None:
    text = _text(value)
    if text is None:
        return None
    if text in METHODS:
        return str(text)
    return str(text) if _CODE.fullmatch(text) and not _LONG_NUMBER.search(text) else None


def _queue(value: object) -> str | None:
    text = _text(value)
    reader, pair, sender = (text or "").removeprefix("to.").partition(".from.")
    if pair and _ORGANISATION.fullmatch(reader) and _ORGANISATION.fullmatch(sender):
        return f"to.{reader}.from.{sender}"
    return _code(value)


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return int(value) if 0 <= value <= _MOST else None


def _duration(value: object) -> float | None:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LONGEST else None


def _error(value: object) -> str | None:
    """Accept an exception class, or its name with or without the module, and keep the bare name."""
    if isinstance(value, type):
        return value.__name__ if issubclass(value, BaseException) else None
    text = _text(value)
    if text is None:
        return None
    name = text.rpartition(".")[2]
    return name if _CLASS.fullmatch(name) and _EXCEPTIONS.has(name) else None


def _place(value: object) -> str | None:
    text = _text(value)
    return text if text is not None and _PLACE.fullmatch(text) else None


def _route(value: object) -> str | None:
    text = _text(value)
    return text if text is not None and _ROUTE.fullmatch(text) else None


class _LoadedExceptions:
    """The names of all exception classes of this process: the closed list of what may stand for an exception."""

    def __init__(self) -> None:
        self._names: set[str] = set()

    def has(self, name: str) -> bool:
        """Say whether a class of that name is loaded; look again when it is not known yet."""
        if name not in self._names:
            self._walk(BaseException)
        return name in self._names

    def _walk(self, above: type[BaseException]) -> None:
        waiting = [above]
        while waiting:
            each = waiting.pop()
            self._names.add(each.__name__)
            waiting.extend(type.__subclasses__(each))


_EXCEPTIONS: Final = _LoadedExceptions()

_SHAPES: Final = {
    Kind.ID: _id,
    Kind.CODE: _code,
    Kind.QUEUE: _queue,
    Kind.COUNT: _count,
    Kind.DURATION: _duration,
    Kind.ERROR: _error,
    Kind.PLACE: _place,
    Kind.ROUTE: _route,
}
