"""Puts a notice into words, in the reader's language. Everything that staff are ever told is said here.

Codes come in, words go out. The words for a referral and for a report are the same, and none of them depends on what
happened: a mail about an acceptance reads like a mail about a refusal.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, assert_never
from zoneinfo import ZoneInfo

from babel.dates import format_datetime

from services.notify.domain.notice import Matter, Notice
from shared.contracts.codes import Urgency
from shared.words import Words

LOCALE: Final = Path(__file__).parent / "locale"


class Voice:
    """The service's own words."""

    def __init__(self) -> None:
        """Read the catalogues."""
        self.words = Words(LOCALE)

    def language(self, wanted: Sequence[str]) -> str:
        """Return the language there is for a reader who reads ``wanted``, best first; English where there is none."""
        return self.words.choose(wanted)

    def title(self, notice: Notice, language: str) -> str:
        """Return the one line that a notice comes to, without its urgency."""
        match notice.matter:
            case Matter.REFERRAL | Matter.REPORT:
                code = "notice-waiting"
            case Matter.PARKED:
                code = "notice-parked"
            case _:
                assert_never(notice.matter)
        return self.words.say(language, code, number=notice.number)

    def urgency(self, urgency: Urgency, language: str) -> str:
        """Return the word for ``urgency``."""
        return self.words.say(language, f"urgency-{urgency}")

    def unread(self, count: int, language: str) -> str:
        """Return how many notifications are unread, as a sentence."""
        if count == 0:
            return self.words.say(language, "unread-none")
        return self.words.say_counted(language, "unread-one", "unread-many", count)

    def when(self, at: datetime, language: str, zone: ZoneInfo) -> str:
        """Return ``at`` as people in ``zone`` write it, such as ``24 nov. 2026, 08:12:00``."""
        return format_datetime(at, "medium", tzinfo=zone, locale=language)
