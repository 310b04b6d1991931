"""Every race there can be, with up to eight things said after the offer: not a sample of them but all.

Two honest organisations say whatever the table allows them to, while what each has said is under way to the other for
as long as it likes. In every situation that can come about, the rules below hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID

from services.referral.domain.lanes import Lanes, Move
from services.referral.domain.life import HAPPENED, SAID_BY, Side, after
from services.referral.domain.standing import Standing, standing_of
from shared.contracts.codes import Status, Step
from shared.contracts.event import EventId
from tests.support.referrals import NOON

SAID_AT_MOST = 8
ANY_ID = EventId(UUID(int=0))
OFFER = Move(Step.OFFERED, ANY_ID, NOON, 0)


@dataclass(frozen=True)
class World:
    """What has been said, and how much of it has reached the other side."""

    lanes: Lanes
    reached: tuple[int, int]
    """How many of the receiver's moves the sender has, and how many of the sender's the receiver has."""

    def known(self, side: Side) -> Lanes:
        """Return the lanes as ``side`` has them."""
        return self.lanes.as_seen(side, self.reached[0 if side is Side.SENDER else 1])

    def nexts(self) -> Iterator["World"]:
        """Yield every world that can follow: one message arrives, or one side says one thing."""
        heard, arrived = self.reached
        if heard < len(self.lanes.receiver):
            yield replace(self, reached=(heard + 1, arrived))
        if arrived < len(self.lanes.sender):
            yield replace(self, reached=(heard, arrived + 1))
        if len(self.lanes.sender) + len(self.lanes.receiver) <= SAID_AT_MOST:
            yield from self._said()

    def _said(self) -> Iterator["World"]:
        for side in Side:
            known = self.known(side)
            status = standing_of(known).status
            for step, by in SAID_BY.items():
                if by is side and after(status, step) is not None:
                    move = Move(step, ANY_ID, NOON, len(known.of(side.other)))
                    yield replace(self, lanes=self.lanes.with_move(side, move))


def every_world() -> dict[World, Standing]:
    """Return every world that can come about, and where its lanes lead once everything has arrived."""
    worlds: dict[World, Standing] = {}
    open_ends = [World(Lanes(sender=(OFFER,)), reached=(0, 1))]
    while open_ends:
        world = open_ends.pop()
        if world not in worlds:
            worlds[world] = standing_of(world.lanes)
            open_ends += world.nexts()
    return worlds


def broken_rules(world: World, end: Standing) -> Iterator[str]:
    """Yield the name of each rule that ``world`` breaks."""
    views = {side: standing_of(world.known(side)) for side in Side}
    void = {(side, world.lanes.of(side)[n - 1].step) for side, n in end.superseded}
    if any(step in HAPPENED for _, step in void):
        yield "what has happened in the world is never undone"
    if any(step is Step.CONSENT_WITHDRAWN for _, step in void):
        yield "consent can always be taken back"
    if (Side.SENDER, Step.WITHDRAWN) in void and end.arrived_at is None:
        yield "only an arrival outweighs a withdrawal"
    if not _one_decision_at_most(world, end):
        yield "of accept, decline and redirect, one decides"
    there = views[Side.RECEIVER]
    if there.is_there and after(there.status, Step.CLOSED) is None:
        yield "whoever has the person can say that they have left"
    for side, view in views.items():
        partners = {number for who, number in view.superseded if who is side.other}
        final = {number for who, number in end.superseded if who is side.other}
        if not partners <= final or any(n <= world.reached[0 if side is Side.SENDER else 1] for n in final - partners):
            yield "what a partner said never changes its effect later"
    if views[Side.SENDER].arrived_at is not None and views[Side.RECEIVER].arrived_at is None:
        yield "somebody answers for the person at every instant"


def _one_decision_at_most(world: World, end: Standing) -> bool:
    decisions = (Step.ACCEPTED, Step.DECLINED, Step.REDIRECTED)
    effective = [
        move.step
        for number, move in enumerate(world.lanes.receiver, start=1)
        if move.step in decisions and (Side.RECEIVER, number) not in end.superseded
    ]
    return len(effective) <= 1


def shortest(broken: list[tuple[str, World]]) -> str:
    """Return the first rule that is broken where the least is said, with what each side said."""
    rule, world = min(broken, key=lambda each: len(each[1].lanes.sender) + len(each[1].lanes.receiver))
    said = "; ".join(f"{side.value}: {', '.join(move.step.value for move in world.lanes.of(side))}" for side in Side)
    return f"{rule}: {said}. What a receiver says once the person may come must be `happened` (STEPS, life.py)"


def test_every_race_ends_well() -> None:
    worlds = every_world()
    assert {end.status for end in worlds.values()} == set(Status) - {Status.RECEIVED}
    broken = [(rule, world) for world, end in worlds.items() for rule in broken_rules(world, end)]
    assert not broken, shortest(broken)
    assert any(end.superseded for end in worlds.values())
