"""Two organisations, a network that delays, reorders, repeats and loses: both stores end the same.

hypothesis plays the staff of both sides and the network. Whatever it does, once everything has arrived both copies say
the same of the referral, everybody whose action had no effect has been told, and nobody was ever left without anybody.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.strategies import DataObject, data, sampled_from

from services.referral.domain.lanes import in_order
from services.referral.domain.life import SAID_BY, Side
from services.referral.domain.referral import Referral
from services.referral.domain.repeating import say_again
from services.referral.domain.responsibility import responsible
from services.referral.domain.ruling import Ruling, Tell
from services.referral.domain.saying import refusal_of
from shared.contracts.codes import ReferralKind, Status, Step
from shared.contracts.event import encode
from shared.contracts.exchange import EVENTS, ReferralEvent, decode
from shared.contracts.facts import Fact, FactCode
from shared.messaging.decision import Early
from tests.support.referral_pairs import NAMES, Pair
from tests.support.referrals import NOON, act, offered, today

if TYPE_CHECKING:
    from shared.contracts.personal import Personal


class TwoOrganisations(RuleBasedStateMachine):
    """Both sides of one referral and whatever is under way between them."""

    @initialize(kind=sampled_from(ReferralKind))
    def offer(self, kind: ReferralKind) -> None:
        """Offer a person; both sides have a copy."""
        self.pair = Pair.of(offered(kind))
        self.now = NOON
        self.under_way: list[tuple[Side, ReferralEvent]] = []
        self.heard: list[tuple[Side, ReferralEvent]] = []
        self.papers: dict[Side, dict[int, dict[str, Personal]]] = {side: {} for side in Side}
        self.told_of_conflict: dict[Side, list[str]] = {side: [] for side in Side}
        self.conflict_facts = dict.fromkeys(Side, 0)

    def tick(self) -> datetime:
        """Return the next moment."""
        self.now += timedelta(minutes=1)
        return self.now

    @rule(side=sampled_from(Side), choice=data())
    def staff_act(self, side: Side, choice: DataObject) -> None:
        """Do something that the table allows from where this side believes the referral to be."""
        at = self.tick()
        possible = [step for step in EVENTS if refusal_of(self.pair.copy(side), step, at) is None]
        if possible:
            ruling = self.pair.say(side, choice.draw(sampled_from(possible)), at)
            self.pair.under_way[side.other].clear()
            self.under_way += [(side.other, said.event) for said in ruling.says if isinstance(said, Tell)]
            for paper in ruling.papers:
                self.papers[side].setdefault(paper.n, {})[paper.name] = paper.content

    @rule(side=sampled_from(Side), step=sampled_from(tuple(EVENTS)))
    def staff_try_what_the_table_may_not_have(self, side: Side, step: Step) -> None:
        """Try anything; what is refused changes nothing."""
        before, at = self.pair.copy(side), self.tick()
        if refusal_of(before, step, at) is not None:
            assert self.pair.say(side, step, at).refusal is not None
            assert self.pair.copy(side) is before

    @precondition(lambda self: self.under_way)
    @rule(choice=data(), again=sampled_from((False, False, True)))
    def network_brings_any(self, choice: DataObject, again: bool) -> None:  # noqa: FBT001
        """Bring whichever message is under way, and keep it under way if it comes ``again``."""
        place = choice.draw(sampled_from(range(len(self.under_way))))
        self.bring(place, again=again)

    @precondition(lambda self: self.under_way)
    @rule(choice=data())
    def network_loses(self, choice: DataObject) -> None:
        """Lose whichever message is under way, for good."""
        del self.under_way[choice.draw(sampled_from(range(len(self.under_way))))]

    @precondition(lambda self: self.heard)
    @rule(choice=data())
    def network_repeats(self, choice: DataObject) -> None:
        """Bring a message that has been heard; it changes nothing."""
        side, event = choice.draw(sampled_from(self.heard))
        before = self.pair.copy(side)
        assert self.pair.deliver(side, event, self.tick()) == Ruling()
        assert self.pair.copy(side) is before

    @rule()
    def receipt_comes(self) -> None:
        """Bring the receiver's receipt, however often."""
        self.pair.receipt()

    def bring(self, place: int, *, again: bool) -> bool:
        """Bring one event, through the bytes of the wire; return whether it was taken in."""
        side, event = self.under_way[place]
        before = self.pair.copy(side)
        heard = self.pair.deliver(side, self.read(event), self.tick())
        if isinstance(heard, Early):
            assert heard.subject == event.referral
            return False
        assert heard.refusal is None, "an honest partner is never refused"
        self.note_conflicts(side, heard)
        if event.n > len(before.lane(side.other)):
            self.heard.append((side, event))
        if not again:
            del self.under_way[place]
        return True

    @staticmethod
    def read(event: ReferralEvent) -> ReferralEvent:
        """Return the event as the other side decodes it."""
        read = decode(encode(event))
        assert isinstance(read, ReferralEvent)
        return read

    def note_conflicts(self, side: Side, heard: Ruling[Referral]) -> None:
        """Remember what the staff of ``side`` were told of a conflict."""
        codes = [said.code for said in heard.says if isinstance(said, Fact)]
        lost = [entry.detail["superseded"] for entry in heard.entries if entry.code == "referral.conflicted"]
        assert codes.count(FactCode.REFERRAL_CONFLICTED) == len(lost) <= 1
        self.told_of_conflict[side] += " ".join(lost).split()

    def bring_what_can_be(self) -> None:
        """Bring everything that does not wait for what was lost."""
        while any(self.bring(place, again=False) for place in range(len(self.under_way))):
            pass

    def say_again(self, side: Side) -> None:
        """Say again what nothing proves to have come, a day later."""
        ruling = say_again(self.pair.copy(side), self.papers[side], act(at=self.now + timedelta(days=1)), today())
        self.pair.keep(side, ruling.state)
        self.under_way += [(side.other, tell.event) for tell in ruling.tells]

    @invariant()
    def somebody_answers_for_the_person(self) -> None:
        """At every instant at least one side believes that it answers for the person, and acts so."""
        if hasattr(self, "pair"):
            assert any(responsible(self.pair.copy(side)) == NAMES[side] for side in Side)

    def teardown(self) -> None:
        """Bring everything, what was lost too, and compare."""
        if not hasattr(self, "pair"):
            return
        self.bring_what_can_be()
        for side in Side:
            self.say_again(side)
        self.bring_what_can_be()
        assert not self.under_way, "whatever waited has what it waited for"
        self.pair.receipt()
        sender, receiver = self.pair.sender, self.pair.receiver
        assert sender.course == receiver.course
        assert sender.status is receiver.status
        assert list(in_order(sender.course.lanes)) == list(in_order(receiver.course.lanes))
        assert sender.terms == receiver.terms
        assert responsible(sender) == responsible(receiver)
        for side in Side:
            copy = self.pair.copy(side)
            lost = [copy.lane(side)[n - 1].step.value for who, n in copy.standing.superseded if who is side]
            assert sorted(self.told_of_conflict[side]) == sorted(lost), "whoever lost was told, once"
        there = sender.standing.arrived_at is not None
        assert (sender.status in (Status.ARRIVED, Status.CLOSING, Status.CLOSED)) == there
        assert (sender.status is Status.CLOSED) == (sender.standing.left_at is not None)
        assert all(SAID_BY[move.step] is side for side, _, move in in_order(sender.course.lanes))


TwoOrganisations.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestTwoOrganisations = TwoOrganisations.TestCase
