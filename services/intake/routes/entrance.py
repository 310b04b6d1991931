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
from services.intake.domain.pace import Limit, Pace, caller_at
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

EVERYBODY: Final = ""
"""The one caller of what is counted for all together."""


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
        """Take the rates in the long run; some seconds' worth may come at once."""
        self._events, self._all_events = Pace(_events(events_a_second)), Pace(_events(all_events_a_second))
        self._reports, self._all_reports = Pace(_reports(reports_a_minute)), Pace(_reports(all_reports_a_minute))
        self._partners = Pace(_events(events_a_second))
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

    def _count(self, request: Request, clock: Clock, by_address: Pace, in_all: Pace) -> None:
        caller = caller_at(request.client.host if request.client else "")
        hidden = blake2b(caller.encode(), key=self._salt, digest_size=16).hexdigest()
        _let_pass(by_address.wait(hidden, clock.now()))
        _let_pass(in_all.wait(EVERYBODY, clock.now()))


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


def _events(a_second: float) -> Limit:
    return Limit(max(1, round(5 * a_second)), a_second)


def _reports(a_minute: float) -> Limit:
    return Limit(max(1, round(a_minute / 2)), a_minute / 60)
