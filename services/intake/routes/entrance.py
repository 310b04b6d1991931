"""What both entrances have in common: who comes how often, how much they may bring, and how long they wait.

Whoever comes here may be anybody. A caller's address is kept in memory only, and only as a keyed hash, long enough to
count; it is in no log.
"""

from collections.abc import Callable
from dataclasses import field
from functools import partial
from hashlib import blake2b
from os import urandom
from typing import Final

from fastapi import Request

from services.intake.domain.admission import Arrival, Given
from services.intake.domain.pace import Limit, Pace
from services.intake.domain.screening import Remit
from services.intake.domain.taking import TakeReport
from services.intake.hears import Door
from shared.clock import Clock
from shared.contracts.ids import ReportId
from shared.contracts.problem import ProblemCode
from shared.messaging.shell import Shell
from shared.storage.pool import Pool
from shared.values import dataclass
from shared.web.problem import Problem

PATIENCE_SECONDS: Final = 10.0
"""How long a caller waits for the database before it is told to come again."""


class Paces:
    """How fast callers may come: by address, and partners by name."""

    def __init__(self, *, events_a_second: float, reports_a_minute: float) -> None:
        """Take the rates in the long run; some seconds' worth may come at once."""
        self._events = Pace(Limit(max(1, round(5 * events_a_second)), events_a_second))
        self._partners = Pace(Limit(max(1, round(5 * events_a_second)), events_a_second))
        self._reports = Pace(Limit(max(1, round(reports_a_minute / 2)), reports_a_minute / 60))
        self._salt = urandom(16)

    def count_event(self, request: Request, clock: Clock) -> None:
        """Count one more envelope from this address.

        Raises:
            Problem: 429 ``too-many-requests``.
        """
        _let_pass(self._events, self._address(request), clock)

    def count_partner(self, sender: str, clock: Clock) -> None:
        """Count one more envelope from this partner.

        Raises:
            Problem: 429 ``too-many-requests``.
        """
        _let_pass(self._partners, sender, clock)

    def count_report(self, request: Request, clock: Clock) -> None:
        """Count one more report from this address.

        Raises:
            Problem: 429 ``too-many-requests``.
        """
        _let_pass(self._reports, self._address(request), clock)

    def _address(self, request: Request) -> str:
        host = request.client.host if request.client else ""
        return blake2b(host.encode(), key=self._salt, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Entrance:
    """What the routes need; the application keeps it in ``app.state.entrance``."""

    pool: Pool
    clock: Clock
    door: Door
    events: Shell[Arrival, Given]
    reports: Shell[TakeReport, ReportId]
    remit: Remit
    paces: Paces = field(repr=False)


def entrance(request: Request) -> Entrance:
    """Return what the application keeps for the routes."""
    kept: Entrance = request.app.state.entrance
    return kept


def words_for(request: Request) -> Callable[[str], str]:
    """Return what says a code in the language of ``request``."""
    words = request.app.state.words
    return partial(words.say, words.for_request(request.headers.get("accept-language", "")))


def check_media_type(request: Request, expected: str) -> None:
    """Refuse a body of another type.

    Raises:
        Problem: 415 ``media-type-unsupported``.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != expected:
        raise Problem(415, ProblemCode.MEDIA_TYPE, headers={"Accept": expected})


def _let_pass(pace: Pace, caller: str, clock: Clock) -> None:
    seconds = pace.wait(caller, clock.now())
    if seconds:
        raise Problem(429, ProblemCode.TOO_MANY, headers={"Retry-After": str(seconds)})
