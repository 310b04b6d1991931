"""The example partner system, which knows events.md alone, comes to the same order and state as our own domain."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from examples.partner_system import lanes as theirs
from examples.partner_system.refusal import Refused
from services.referral.domain import life
from services.referral.domain.lanes import Lanes, Move
from services.referral.domain.life import Side
from services.referral.domain.standing import standing_of
from shared.contracts.codes import Status, Step
from shared.contracts.event import EventId

AT = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
RECEIVERS = [step for step in theirs.Step if step not in theirs.SENDERS]


def ours(step: theirs.Step) -> Step:
    return Step(step.removeprefix("referral.").removesuffix(".v1"))


def move(said: theirs.Said) -> Move:
    return Move(ours(said.step), EventId(UUID(said.id)), said.at, said.seen)


def test_the_table_is_the_same() -> None:
    """But for the receipt, which the example takes before it asks the table."""
    assert {
        (None if state is theirs.State.NEW else Status(state), ours(step)): Status(to)
        for (state, step), to in theirs.TABLE.items()
    } == {cell: to for cell, to in life.TABLE.items() if cell[1] is not Step.RECEIVED}
    assert {ours(step) for step in theirs.SENDERS} == {step for step in Step if life.SAID_BY.get(step) is Side.SENDER}
    assert {ours(step) for step in theirs.HAPPENED} == life.HAPPENED
    assert {ours(step) for step in theirs.OWED} == {step for step, is_ in life.STEPS.items() if is_.owed}


class Talk:
    """Two organisations that speak at any time; what one says reaches the other later, in order."""

    def __init__(self) -> None:
        self.lanes = theirs.Lanes().say(theirs.Step.OFFERED, str(UUID(int=1)), AT)
        self.said: list[theirs.Said] = []
        self.known = 1
        """How many events of the sender have reached the receiver."""
        self.count = 1

    def sender_says(self, step: theirs.Step) -> None:
        """Say it if the example lets the sender say it."""
        self.count += 1
        try:
            self.lanes = self.lanes.say(step, str(UUID(int=self.count)), AT + timedelta(seconds=self.count))
        except Refused:
            return

    def receiver_says(self, step: theirs.Step) -> None:
        """Say it if our own domain lets the receiver say it."""
        known = Lanes(tuple(map(move, self.lanes.ours[: self.known])), tuple(map(move, self.said)))
        if life.after(standing_of(known).status, ours(step)) is None:
            return
        self.count += 1
        number = len(self.said) + 1
        at = AT + timedelta(seconds=self.count)
        self.said.append(theirs.Said(step, str(UUID(int=self.count)), at, number, self.known))

    def sender_hears(self) -> None:
        """Bring the next event of the receiver."""
        heard = len(self.lanes.theirs)
        if heard < len(self.said):
            self.lanes = self.lanes.hear(self.said[heard])

    def receiver_hears(self) -> None:
        """Bring the next event of the sender."""
        self.known = min(self.known + 1, len(self.lanes.ours))

    def compare(self) -> None:
        """See that both come to the same, and that it is the same with us."""
        both = Lanes(tuple(map(move, self.lanes.ours)), tuple(map(move, self.lanes.theirs)))
        expected, standing = standing_of(both), self.lanes.standing()
        assert expected.status is not None
        assert standing.state == expected.status.value
        assert {(said.side.value, said.n) for said in standing.superseded} == {
            (side.value, number) for side, number in expected.superseded
        }


TURN = st.one_of(
    st.sampled_from([("sender", step) for step in sorted(theirs.SENDERS)]),
    st.sampled_from([("receiver", step) for step in RECEIVERS]),
    st.sampled_from([("sender hears", theirs.Step.OPENED), ("receiver hears", theirs.Step.OPENED)]),
)


@settings(max_examples=400)
@given(st.lists(TURN, max_size=40))
def test_any_talk_comes_to_the_same(turns: list[tuple[str, theirs.Step]]) -> None:
    talk = Talk()
    for who, step in turns:
        match who:
            case "sender":
                talk.sender_says(step)
            case "receiver":
                talk.receiver_says(step)
            case "sender hears":
                talk.sender_hears()
            case _:
                talk.receiver_hears()
        talk.compare()


@settings(max_examples=100)
@given(st.permutations(range(4)), st.lists(st.integers(min_value=0, max_value=3), max_size=4))
def test_any_order_and_any_repetition_comes_to_the_same(order: list[int], again: list[int]) -> None:
    talk = Talk()
    for step in (theirs.Step.OPENED, theirs.Step.ASKED, theirs.Step.ACCEPTED, theirs.Step.ARRIVED):
        number = len(talk.said) + 1
        talk.said.append(theirs.Said(step, str(UUID(int=number + 10)), AT, number, 1))
    lanes = talk.lanes
    refused = set()
    for index in [*order, *again]:
        try:
            lanes = lanes.hear(talk.said[index])
        except Refused as refusal:
            refused.add(refusal.code)
        while due := lanes.due():
            lanes = lanes.without(due)
            try:
                lanes = lanes.hear(due)
            except Refused as refusal:
                refused.add(refusal.code)
    # The receiver could not say that the person had arrived: it had not seen a disclosure.
    assert [said.step for said in lanes.theirs] == [theirs.Step.OPENED, theirs.Step.ASKED, theirs.Step.ACCEPTED]
    assert lanes.standing().state is theirs.State.ACCEPTED
    assert refused == {"transition-not-in-table"}
