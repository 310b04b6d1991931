"""The pages in the reader's language: words, numbers, durations and times.

English stands in the templates; the other languages in ``locale/``. Codes, names of services and of spans are not words
and stay as they are.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from babel.dates import format_datetime
from babel.numbers import format_decimal

from shared.words import Words

WORDS: Final = Words(Path(__file__).parent / "locale")

_MICROSECOND: Final = 1_000
_MILLISECOND: Final = 1_000_000
_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class Reader:
    """Whoever reads a page, by the language that they read."""

    language: str

    @classmethod
    def of(cls, accept_language: str) -> "Reader":
        """Return the reader whom an ``Accept-Language`` header (RFC 9110, 12.5.4) speaks of."""
        return cls(WORDS.for_request(accept_language))

    def say(self, words: str, **values: object) -> str:
        """Return ``words`` in the reader's language, with ``{name}`` filled in."""
        return WORDS.say(self.language, words, **values)

    def count(self, one: str, many: str, count: int) -> str:
        """Return the words for ``count`` of something; ``{n}`` is the count."""
        return WORDS.say_counted(self.language, one, many, count, n=self.number(count))

    def number(self, value: float) -> str:
        """Return a number as it is written in this language."""
        return str(format_decimal(value, locale=self.language))

    def duration(self, nanoseconds: int) -> str:
        """Return a duration with three figures or so, and its unit."""
        if nanoseconds <= 0:
            return "0"
        for unit, name in ((_SECOND, "s"), (_MILLISECOND, "ms"), (_MICROSECOND, "µs")):
            if nanoseconds >= _MINUTE:
                return self._long(nanoseconds)
            if nanoseconds >= unit:
                value = nanoseconds / unit
                pattern = "0" if value >= 100 else "0.0" if value >= 10 else "0.00"  # noqa: PLR2004  # figures shown
                return f"{format_decimal(value, format=pattern, locale=self.language)}\u202f{name}"
        return f"{nanoseconds}\u202fns"

    def _long(self, nanoseconds: int) -> str:
        """Return two units that follow one another, such as hours and minutes."""
        if nanoseconds >= _DAY:
            large, small, names = _DAY, _HOUR, (self.say("d"), self.say("h"))
        elif nanoseconds >= _HOUR:
            large, small, names = _HOUR, _MINUTE, (self.say("h"), self.say("min"))
        else:
            large, small, names = _MINUTE, _SECOND, (self.say("min"), self.say("s"))
        count, rest = divmod(nanoseconds, large)
        return f"{count}\u202f{names[0]} {rest // small}\u202f{names[1]}"

    def moment(self, nanoseconds: int) -> str:
        """Return a day and a time to the millisecond, in the time zone of this machine: the reader sits at it."""
        moment = datetime.fromtimestamp(nanoseconds / _SECOND, UTC).astimezone()
        return str(format_datetime(moment, "d MMM HH:mm:ss.SSS", tzinfo=moment.tzinfo, locale=self.language))


def iso(nanoseconds: int) -> str:
    """Return a moment as RFC 3339 writes it, in UTC, to the microsecond."""
    return datetime.fromtimestamp(nanoseconds / _SECOND, UTC).isoformat(timespec="microseconds")
