"""Two lanes and one order: how both stores come to the same state without asking one another.

Each side numbers what it says about a referral: its lane. Each store ends with the same two lanes, whatever the network
did, so everything about a referral is worked out from them, and nothing else about its course is kept.

The order is causal: a move stands after everything that its author had seen. Of two moves that did not know of one
another, what has happened in the world (``HAPPENED`` in ``life.py``) comes first; then the sender, who answers for the
person until arrival and may always take a referral back; then the receiver.

A move that the table does not allow at its turn is *superseded*: it stays in its lane and has no effect. No other rule
may decide between two sides, and none may look at a clock: clocks differ.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeAlias

from services.referral.domain.life import HAPPENED, Side
from shared.contracts.codes import Step
from shared.contracts.event import EventId
from shared.values import dataclass


@dataclass(frozen=True, slots=True)
class Move:
    """One event of a lane, as far as the course of the referral needs it: codes and times, nothing personal."""

    step: Step
    id: EventId
    at: datetime
    seen: int
    """How many moves of the other lane its author had seen."""
    codes: tuple[str, ...] = ()
    """What the step says in codes, such as the reason of a decline."""
    expected: datetime | None = None
    """When the person should have come by."""


Lane: TypeAlias = tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class Lanes:
    """What the sender and the receiver have said, each in its own order."""

    sender: Lane = ()
    receiver: Lane = ()

    def of(self, side: Side) -> Lane:
        """Return one side's lane."""
        return self.sender if side is Side.SENDER else self.receiver

    def with_move(self, side: Side, move: Move) -> "Lanes":
        """Return the lanes with ``move`` at the end of one of them."""
        if side is Side.SENDER:
            return Lanes((*self.sender, move), self.receiver)
        return Lanes(self.sender, (*self.receiver, move))

    def as_seen(self, side: Side, of_other: int) -> "Lanes":
        """Return what ``side`` knew when it had seen ``of_other`` moves of the other lane."""
        if side is Side.SENDER:
            return Lanes(self.sender, self.receiver[:of_other])
        return Lanes(self.sender[:of_other], self.receiver)


class LanesTangledError(Exception):
    """Two moves claim to have seen one another. Only a damaged store or a bug can do this; hearing refuses it."""


def in_order(lanes: Lanes) -> Iterator[tuple[Side, int, Move]]:
    """Yield every move once, with its side and its number, in the one order that both sides agree on.

    Raises:
        LanesTangledError: no such order exists.
    """
    sender, receiver = lanes.sender, lanes.receiver
    sent = heard = 0
    while sent < len(sender) or heard < len(receiver):
        mine = sender[sent] if sent < len(sender) and sender[sent].seen <= heard else None
        theirs = receiver[heard] if heard < len(receiver) and receiver[heard].seen <= sent else None
        if mine is not None and (theirs is None or theirs.step not in HAPPENED):
            sent += 1
            yield Side.SENDER, sent, mine
        elif theirs is not None:
            heard += 1
            yield Side.RECEIVER, heard, theirs
        else:
            raise LanesTangledError
