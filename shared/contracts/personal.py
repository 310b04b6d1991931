"""What every model that holds personal data has in common: it can be checked, kept and sealed, and it cannot be shown.

``repr`` and ``str`` of a personal model give its class name and nothing else, so that a log line, a trace, a failed
assertion or a debugger's list of variables shows that there was something, never what. Where input is refused, read the
reasons through :func:`shared.contracts.problem.field_problems`: pydantic's own list of errors carries the input.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Final, NoReturn, Protocol, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints
from pydantic_core import PydanticCustomError

from shared.contracts.codes import Finding
from shared.contracts.countries import COUNTRIES

PLAIN = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
"""Any script and direction of writing, new lines and tabs; no other control character (PostgreSQL refuses NUL)."""

LINE = r"^[^\x00-\x1f\x7f]*$"
"""The same on one line."""

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=LINE)]
"""A name, a place, a reference: one line."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4_000, pattern=PLAIN)]
"""A few paragraphs."""

LongText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000, pattern=PLAIN)]
"""A whole account, about six pages."""


class Personal(BaseModel):
    """A value that may identify or describe a person: immutable, closed, and never shown."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def __repr__(self) -> str:
        """Return the class name alone."""
        return type(self).__name__

    def __str__(self) -> str:
        """Return the class name alone."""
        return type(self).__name__


def refuse_together(code: str, *fields: str) -> NoReturn:
    """Refuse ``fields`` that cannot all be true, with a stable ``code`` and their names, never a value.

    Raises:
        PydanticCustomError: always; pydantic makes it one of the reasons of its own error.
    """
    raise PydanticCustomError(code, _CONTRADICTION, {"fields": " ".join(fields)})


class Span(Protocol):
    """What a model says of something that began, and may have ended."""

    @property
    def began(self) -> date | None:
        """The first day."""

    @property
    def ended(self) -> date | None:
        """The last day."""

    @property
    def ongoing(self) -> Finding:
        """Whether it goes on."""


SpanT = TypeVar("SpanT", bound=Span)
CodeT = TypeVar("CodeT", bound=StrEnum)


def ended_after_it_began(span: SpanT) -> SpanT:
    """Refuse what ended before it began, or has ended and goes on: a validator for two models."""
    if span.began is not None and span.ended is not None and span.ended < span.began:
        refuse_together("ended-before-began", "began", "ended")
    if span.ended is not None and span.ongoing is Finding.YES:
        refuse_together("ended-and-ongoing", "ended", "ongoing")
    return span


def answered(questions: Personal, codes: type[CodeT], findings: Collection[Finding]) -> frozenset[CodeT]:
    """Return those of ``codes``, each of them a field of ``questions``, that were answered with one of ``findings``."""
    return frozenset(code for code in codes if getattr(questions, code.value) in findings)


_CONTRADICTION = "these fields contradict one another"
_UNKNOWN_COUNTRY = PydanticCustomError("country-unknown", "not a country code of ISO 3166-1")


def _known_country(code: str) -> str:
    if code not in COUNTRIES:
        raise _UNKNOWN_COUNTRY
    return code


EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_NO_TIME_OF_OURS = PydanticCustomError("time-out-of-range", "not a time from 2000 to 2099")


def _in_our_time(moment: datetime) -> datetime:
    if not EARLIEST <= moment < LATEST:
        raise _NO_TIME_OF_OURS
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, AfterValidator(_in_our_time)]
"""A time, given with any offset and kept in UTC, from 2000 to 2099: whatever is added to it later is a time as well."""

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), AfterValidator(_known_country)]
"""ISO 3166-1 alpha-2, checked against the list."""

Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{3}$")]
"""ISO 639-3: three letters. The list has 7,900 entries and grows every year; the form is checked, not the entry."""

Telephone = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{6,14}$")]
"""ITU-T E.164: a plus sign, the country code and the number, 15 digits at most, no spaces."""

Email = Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$")]
"""A mailbox, in any script (RFC 6531). Whether it exists is found out by writing to it, once that is safe."""
