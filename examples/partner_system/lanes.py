"""Where a referral stands, worked out from what both sides have said: docs/protocol/events.md, sections 3 to 5. Pure.

Each side numbers what it says; from the same two lanes both work out the same order and the same state. What a lane
keeps of an event is codes, ids and times: nothing about the person.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from .refusal import Refused


class Side(StrEnum):
    """Of the two organisations, the one that offers, and the one that it is offered to."""

    SENDER = "sender"
    RECEIVER = "receiver"


class Step(StrEnum):
    """The events of a referral, by their types."""

    OFFERED = "referral.offered.v1"
    OPENED = "referral.opened.v1"
    ASKED = "referral.asked.v1"
    ANSWERED = "referral.answered.v1"
    ACCEPTED = "referral.accepted.v1"
    DECLINED = "referral.declined.v1"
    REDIRECTED = "referral.redirected.v1"
    DISCLOSED = "referral.disclosed.v1"
    ARRIVED = "referral.arrived.v1"
    MISSED = "referral.missed.v1"
    RESCHEDULED = "referral.rescheduled.v1"
    PROGRESSED = "referral.progressed.v1"
    CLOSED = "referral.closed.v1"
    WITHDRAWN = "referral.withdrawn.v1"
    CONSENT_WITHDRAWN = "referral.consent-withdrawn.v1"


class State(StrEnum):
    """Where a referral stands."""

    NEW = "new"
    OFFERED = "offered"
    RECEIVED = "received"
    OPENED = "opened"
    ASKED = "asked"
    ACCEPTED = "accepted"
    DISCLOSED = "disclosed"
    MISSED = "missed"
    ARRIVED = "arrived"
    CLOSING = "closing"
    CLOSED = "closed"
    DECLINED = "declined"
    REDIRECTED = "redirected"
    WITHDRAWN = "withdrawn"


SENDERS = frozenset({
    Step.OFFERED, Step.ANSWERED, Step.DISCLOSED, Step.RESCHEDULED, Step.WITHDRAWN, Step.CONSENT_WITHDRAWN,
})  # fmt: skip
"""What the sender says; the receiver says the rest."""
HAPPENED = frozenset({Step.OPENED, Step.ARRIVED, Step.MISSED, Step.PROGRESSED, Step.CLOSED})
"""What has happened in the world goes before what the other side said at the same time."""
OWED = frozenset({
    Step.OPENED, Step.DECLINED, Step.REDIRECTED, Step.ARRIVED, Step.MISSED, Step.CLOSED, Step.WITHDRAWN,
    Step.CONSENT_WITHDRAWN,
})  # fmt: skip
"""What has happened or ends access is said and heard though no agreement is in force, for some weeks after its end."""
UNDECIDED = (State.RECEIVED, State.OPENED, State.ASKED)
REACHED = frozenset({State.ARRIVED, State.CLOSING, State.CLOSED})
ENDED = REACHED | {State.DECLINED, State.REDIRECTED, State.WITHDRAWN}
"""Where a sender has nothing more to say about the hand-over itself."""
OVER = frozenset({State.CLOSING, State.CLOSED, State.DECLINED, State.REDIRECTED, State.WITHDRAWN})
"""Where no word about the person leaves any more."""

TABLE: dict[tuple[State, Step], State] = {
    (State.NEW, Step.OFFERED): State.OFFERED,
    (State.RECEIVED, Step.OPENED): State.OPENED,
    (State.RECEIVED, Step.ASKED): State.ASKED,
    (State.OPENED, Step.ASKED): State.ASKED,
    (State.ASKED, Step.ANSWERED): State.OPENED,
    **{(state, Step.ACCEPTED): State.ACCEPTED for state in UNDECIDED},
    **{(state, Step.DECLINED): State.DECLINED for state in UNDECIDED},
    **{(state, Step.REDIRECTED): State.REDIRECTED for state in UNDECIDED},
    (State.ACCEPTED, Step.DISCLOSED): State.DISCLOSED,
    (State.DISCLOSED, Step.ARRIVED): State.ARRIVED,
    (State.MISSED, Step.ARRIVED): State.ARRIVED,
    (State.DISCLOSED, Step.MISSED): State.MISSED,
    (State.MISSED, Step.RESCHEDULED): State.DISCLOSED,
    (State.ARRIVED, Step.PROGRESSED): State.ARRIVED,
    (State.ARRIVED, Step.CLOSED): State.CLOSED,
    (State.CLOSING, Step.CLOSED): State.CLOSED,
    **{
        (state, Step.WITHDRAWN): State.WITHDRAWN
        for state in (State.OFFERED, *UNDECIDED, State.ACCEPTED, State.DISCLOSED, State.MISSED)
    },
    **{(state, Step.CONSENT_WITHDRAWN): State.WITHDRAWN for state in State if state not in {State.NEW, *REACHED}},
    (State.ARRIVED, Step.CONSENT_WITHDRAWN): State.CLOSING,
    (State.CLOSING, Step.CONSENT_WITHDRAWN): State.CLOSING,
    (State.CLOSED, Step.CONSENT_WITHDRAWN): State.CLOSED,
}


@dataclass(frozen=True, slots=True)
class Said:
    """One event of a lane, as far as its course needs it."""

    step: Step
    id: str
    at: datetime
    n: int
    seen: int
    codes: tuple[str, ...] = ()
    """What an event may not say differently the second time, in codes and times."""

    @property
    def side(self) -> Side:
        """Who says such a thing."""
        return Side.SENDER if self.step in SENDERS else Side.RECEIVER


@dataclass(frozen=True, slots=True)
class Standing:
    """Where both lanes lead, and which events had no effect."""

    state: State
    superseded: frozenset[Said]


@dataclass(frozen=True, slots=True)
class Lanes:
    """Both lanes of a referral that we sent, and what has come from the receiver too early."""

    ours: tuple[Said, ...] = ()
    theirs: tuple[Said, ...] = ()
    waiting: tuple[Said, ...] = ()

    def standing(self) -> Standing:
        """Work out the one order, and from it the state."""
        state, superseded = State.NEW, set()
        for said in self._in_order():
            known = State.RECEIVED if said.side is Side.RECEIVER and state is State.OFFERED else state
            following = TABLE.get((known, said.step))
            if following is None:
                superseded.add(said)
            state = following or state
        return Standing(state, frozenset(superseded))

    def _in_order(self) -> Iterator[Said]:
        sent = heard = 0
        while sent < len(self.ours) or heard < len(self.theirs):
            ours = self.ours[sent] if sent < len(self.ours) and self.ours[sent].seen <= heard else None
            theirs = self.theirs[heard] if heard < len(self.theirs) and self.theirs[heard].seen <= sent else None
            if theirs and (ours is None or theirs.step in HAPPENED):
                heard += 1
                yield theirs
            elif ours:
                sent += 1
                yield ours
            else:
                # Each would have seen the other first: `hear` and `say` let nobody write such lanes.
                raise AssertionError

    def say(self, step: Step, event: str, at: datetime) -> "Lanes":
        """Return the lanes with our next event; raise ``transition-not-in-table`` where it may not be said."""
        if step not in SENDERS or (self.standing().state, step) not in TABLE:
            raise Refused("transition-not-in-table")
        return replace(self, ours=(*self.ours, Said(step, event, at, len(self.ours) + 1, len(self.theirs))))

    def hear(self, said: Said) -> "Lanes":
        """Return the lanes with an event of the receiver.

        An event that was taken in before changes nothing, and one that comes too early waits: see `due`.

        Raises:
            Refused: with the codes of events.md, section 4.
        """
        if said.side is Side.SENDER:
            raise Refused("not-said-by-this-side")
        before = next((known for known in (*self.theirs, *self.waiting) if known.n == said.n), None)
        if before == said:
            return self
        if before:
            raise Refused("lane-forked")
        if said.n > len(self.theirs) + 1:
            return replace(self, waiting=(*self.waiting, said))
        return self._taken(said)

    def due(self) -> Said | None:
        """Return the event that need not wait any longer."""
        return next((said for said in self.waiting if said.n == len(self.theirs) + 1), None)

    def without(self, said: Said) -> "Lanes":
        """Return the lanes in which an event does not wait."""
        return replace(self, waiting=tuple(known for known in self.waiting if known != said))

    def _taken(self, said: Said) -> "Lanes":
        if said.seen > len(self.ours):
            raise Refused("seen-ahead")
        if self.theirs and said.seen < self.theirs[-1].seen:
            raise Refused("seen-went-back")
        as_known = Lanes(self.ours[: said.seen], self.theirs).standing().state
        known = State.RECEIVED if as_known is State.OFFERED else as_known
        if (known, said.step) not in TABLE:
            raise Refused("transition-not-in-table")
        return replace(self, theirs=(*self.theirs, said))
