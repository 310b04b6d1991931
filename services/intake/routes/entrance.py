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
from services.intake.domain.pace import Ceiling, Limit, Pace, caller_at, network_at
from services.intake.domain.screening import Remit
from services.intake.domain.taking import TakeReport
from shared.clock import Clock
from shared.contracts.ids import ReportId
from shared.contracts.problem import ProblemCode
from shared.messaging.shell import Shell
from shared.storage.pool import Pool
from shared.values import dataclass
from shared.web.problem import Problem

PATIENCE_SECONDS: Final = 10.0
"""How long a caller waits for the database before it is told to come again."""

FEW_EVENTS: Final = Limit(20, 1.0)
"""What each network may still bring when others have used up what is there for anybody: twenty, and one a second."""
FEW_REPORTS: Final = Limit(3, 1 / 600)
"""Likewise of reports: three, and one every ten minutes."""


class Paces:
    """How fast envelopes and reports may come: from one address, from all together, and from one partner."""

    def __init__(
        self,
        *,
        events_a_second: float,
        reports_a_minute: float,
        all_events_a_second: float,
        all_reports_a_minute: float,
    ) -> None:
        """Take the rates in the long run; some seconds' worth may come at once, and five minutes' worth of reports.

        A report is written by hand: one address has few, and may have them all at once.
        """
        self._events = Pace(_limit(5, events_a_second))
        self._all_events = Ceiling(_limit(5, all_events_a_second), few=FEW_EVENTS)
        self._reports = Pace(_limit(300, reports_a_minute / 60))
        self._all_reports = Ceiling(_limit(30, all_reports_a_minute / 60), few=FEW_REPORTS)
        self._partners = Pace(_limit(5, events_a_second))
        self._salt = urandom(16)

    def count_event(self, request: Request, clock: Clock) -> None:
        """Count one more envelope from this address.

        Raises:
            Problem: 429 ``too-many-requests``.
        """
        self._count(request, clock, self._events, self._all_events)

    def count_report(self, request: Request, clock: Clock) -> None:
        """Count one more report from this address.

        Raises:
            Problem: 429 ``too-many-requests``.
        """
        self._count(request, clock, self._reports, self._all_reports)

    def check_partner(self, sender: str, clock: Clock) -> None:
        """Look whether this partner may bring one more envelope, and count nothing yet.

        Anybody who has seen an envelope can bring it again. Only one that is new is the partner's own doing.

        Raises:
            Problem: 429 ``too-many-requests``.
        """
        _let_pass(self._partners.look(sender, clock.now()))

    def count_partner(self, sender: str, clock: Clock) -> None:
        """Count one more envelope of this partner, which was new."""
        self._partners.wait(sender, clock.now())

    def _count(self, request: Request, clock: Clock, by_address: Pace, in_all: Ceiling) -> None:
        """Count what an address tries, also what is refused to all: whoever hammers at the ceiling has soon done so."""
        host = request.client.host if request.client else ""
        _let_pass(by_address.wait(self._hidden(caller_at(host)), clock.now()))
        _let_pass(in_all.wait(self._hidden(network_at(host)), clock.now()))

    def _hidden(self, caller: str) -> str:
        return blake2b(caller.encode(), key=self._salt, digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Entrance:
    """What the routes need; the application keeps it in ``app.state.entrance``."""

    pool: Pool
    clock: Clock
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


def _let_pass(seconds: int) -> None:
    if seconds:
        raise Problem(429, ProblemCode.TOO_MANY, headers={"Retry-After": str(seconds)})


def _limit(seconds: int, a_second: float) -> Limit:
    """Let so many seconds' worth come at once."""
    return Limit(max(1, round(seconds * a_second)), a_second)
