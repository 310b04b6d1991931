"""One person is on the way to one organisation: which referrals hand over, in which conversation, and who learns."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.referral.domain import sending
from services.referral.domain.hearing import hear
from services.referral.domain.life import Side
from services.referral.domain.referral import Referral
from services.referral.domain.refusals import Refused
from services.referral.domain.responsibility import MOVES_ON_ARRIVAL, responsible
from services.referral.domain.ruling import Ruling
from shared.contracts.codes import EVERY_KIND, Category, ReferralKind, Status, Step, Urgency, WithdrawReason
from shared.contracts.event_data import AnsweredData, ArrivedData, DisclosedData, OfferedData
from shared.contracts.exchange import ReferralEvent
from shared.contracts.facts import Audience, Fact, FactCode
from shared.contracts.packet import IDENTIFYING
from tests.support.referral_pairs import Pair, at_status
from tests.support.referrals import CANARY, NOON, RECEIVER, act, casefile, event, grant, leg, recipient, state, told

ON_THE_WAY = (Status.DISCLOSED, Status.MISSED, Status.ARRIVED, Status.CLOSING)
HERE = (Status.ARRIVED, Status.CLOSING, Status.CLOSED)
WHO = frozenset({Category.IDENTITY})


def offer(
    *legs: Referral,
    kind: ReferralKind = ReferralKind.TRANSFER,
    categories: frozenset[Category] = frozenset(),
    **named: object,
) -> Ruling[Referral]:
    """Offer the person of a case that has these ``legs``; where it says who it is, for a reason."""
    asked = sending.OfferAsked.model_validate(
        {
            "to": RECEIVER,
            "kind": kind,
            "urgency": Urgency.URGENT,
            "categories": {Category.SUMMARY, *categories},
            "identity_reason": CANARY,
            **named,
        }
    )
    return sending.offer(leg(), act(), asked, casefile(grant(), legs=legs), recipient())


def disclose(referral: Referral, *legs: Referral, although: bool = False) -> Ruling[Referral]:
    """Disclose who it is, of a case that has these other ``legs``."""
    asked = sending.DiscloseAsked(categories=WHO, although_expected=although)
    return sending.disclose(referral, act(), asked, casefile(grant(), legs=legs), recipient())


def answer(
    referral: Referral, *legs: Referral, categories: frozenset[Category] = WHO, although: bool = False
) -> Ruling[Referral]:
    """Answer who it is, with the reason to tell."""
    asked = sending.AnswerAsked(
        answer=CANARY, categories=categories, identity_reason=CANARY, although_expected=although
    )
    return sending.answer(referral, act(), asked, casefile(grant(), legs=legs), recipient())


@pytest.mark.parametrize("status", Status)
def test_a_hand_over_goes_on_in_the_conversation_of_the_case(status: Status) -> None:
    first = at_status(status)
    assert state(offer(first.sender)).conversation == first.sender.conversation
    assert state(offer(first.sender, kind=ReferralKind.BROKERED)).conversation == first.sender.conversation


@pytest.mark.parametrize("status", HERE)
def test_a_hand_over_goes_on_in_the_conversation_that_brought_the_person(status: Status) -> None:
    brought = at_status(status).receiver
    assert state(offer(brought)).conversation == brought.conversation


def test_of_several_conversations_it_is_the_open_one_and_then_the_latest() -> None:
    ended, declined, waiting = (at_status(each).sender for each in (Status.CLOSED, Status.DECLINED, Status.OPENED))
    later = Pair.of(offer()).sender
    later = state(sending.withdraw(_dated(later), act(), WithdrawReason.NO_ANSWER))
    assert state(offer(ended, waiting, later, declined)).conversation == waiting.conversation
    assert state(offer(ended, later, declined)).conversation == later.conversation


def _dated(referral: Referral) -> Referral:
    """Return ``referral`` as offered a day later."""
    course = referral.course
    moved = replace(course.lanes.sender[0], at=NOON + timedelta(days=1))
    return replace(referral, course=replace(course, lanes=replace(course.lanes, sender=(moved,))))


def test_services_side_by_side_share_a_conversation_only_where_staff_say_so() -> None:
    shelter = at_status(Status.ARRIVED).sender
    for kind in EVERY_KIND - MOVES_ON_ARRIVAL:
        beside = state(offer(shelter, kind=kind))
        assert beside.conversation != shelter.conversation
        assert state(offer(shelter, beside, kind=kind)).conversation not in {shelter.conversation, beside.conversation}
        assert state(offer(beside)).conversation != beside.conversation
        named = offer(shelter, kind=kind, conversation=shelter.conversation)
        assert state(named).conversation == shelter.conversation


@pytest.mark.parametrize("status", ON_THE_WAY)
def test_a_person_on_the_way_to_one_organisation_is_handed_to_no_second_one(status: Status) -> None:
    chosen, other = at_status(status).sender, at_status(Status.ACCEPTED).sender
    assert chosen.conversation != other.conversation
    refused: Ruling[Referral] = Ruling.refused(Refused.ANOTHER_CHOSEN, status="accepted")
    assert disclose(other, chosen) == refused
    assert disclose(replace(other, conversation=chosen.conversation), chosen) == refused
    for kind in EVERY_KIND - MOVES_ON_ARRIVAL:
        assert state(disclose(replace(other, kind=kind), chosen)).status is Status.DISCLOSED
        assert state(disclose(other, replace(chosen, kind=kind))).status is Status.DISCLOSED


@pytest.mark.parametrize("status", [Status.CLOSED, Status.WITHDRAWN, Status.DECLINED, Status.REDIRECTED])
def test_a_hand_over_that_has_ended_stands_in_nobodys_way(status: Status) -> None:
    assert state(disclose(at_status(Status.ACCEPTED).sender, at_status(status).sender)).status is Status.DISCLOSED


WITHDRAWALS = (Step.WITHDRAWN, Step.CONSENT_WITHDRAWN)


@pytest.mark.parametrize("status", [Status.DISCLOSED, Status.MISSED])
@pytest.mark.parametrize("step", WITHDRAWALS)
def test_whoever_may_still_be_expected_elsewhere_is_handed_on_only_by_staff_who_say_that_they_know(
    step: Step, status: Status
) -> None:
    first, second = at_status(status), at_status(Status.ACCEPTED).sender
    state(first.say(Side.SENDER, step))
    refused: Ruling[Referral] = Ruling.refused(Refused.PERHAPS_EXPECTED, status="accepted")
    assert disclose(second, first.sender) == refused
    knowing = disclose(second, first.sender, although=True)
    assert state(knowing).status is Status.DISCLOSED
    assert knowing.entries[0].detail["although_expected"] == str(first.sender.id)
    assert state(disclose(replace(second, kind=ReferralKind.SERVICE), first.sender)).status is Status.DISCLOSED
    first.receipt(Side.SENDER, first.sender.unproved[-1])
    proved = disclose(second, first.sender, although=True)
    assert "although_expected" not in proved.entries[0].detail, "there was nothing to know"
    assert state(disclose(second, first.sender)).status is Status.DISCLOSED


@pytest.mark.parametrize("status", [Status.DISCLOSED, Status.MISSED])
@pytest.mark.parametrize("step", WITHDRAWALS)
def test_no_candidate_learns_who_it_is_while_another_may_expect_them_unless_staff_say_that_they_know(
    step: Step, status: Status
) -> None:
    first, asked = at_status(status), at_status(Status.ASKED).sender
    state(first.say(Side.SENDER, step))
    assert offer(first.sender, categories=WHO) == Ruling.refused(Refused.PERHAPS_EXPECTED)
    assert answer(asked, first.sender) == Ruling.refused(Refused.PERHAPS_EXPECTED, status="asked")
    knowing = (
        offer(first.sender, categories=WHO, although_expected=True),
        answer(asked, first.sender, although=True),
    )
    for ruling in knowing:
        assert state(ruling).is_open
        assert ruling.entries[0].detail["although_expected"] == str(first.sender.id)
    for nameless in (offer(first.sender), answer(asked, first.sender, categories=frozenset({Category.HEALTH}))):
        assert state(nameless).is_open
        assert "although_expected" not in nameless.entries[0].detail, "nobody learns who it is"
    first.receipt(Side.SENDER, first.sender.unproved[-1])
    assert state(offer(first.sender, categories=WHO)).status is Status.OFFERED
    assert state(answer(asked, first.sender)).status is Status.OPENED


def test_a_receipt_of_the_withdrawal_proves_nothing_while_one_of_before_is_missing() -> None:
    first, second = at_status(Status.DISCLOSED), at_status(Status.ACCEPTED).sender
    state(first.say(Side.SENDER, Step.WITHDRAWN))
    first.sender = replace(first.sender, proved=first.sender.proved - {2} | {3})
    assert disclose(second, first.sender).refusal is not None
    first.receipt(Side.SENDER, 2)
    assert state(disclose(second, first.sender)).status is Status.DISCLOSED


@pytest.mark.parametrize("status", [Status.OFFERED, Status.OPENED, Status.ACCEPTED])
def test_a_candidate_that_never_knew_who_it_was_expects_nobody(status: Status) -> None:
    first = at_status(status)
    state(first.say(Side.SENDER, Step.WITHDRAWN))
    assert state(disclose(at_status(Status.ACCEPTED).sender, first.sender)).status is Status.DISCLOSED


def arrives(pair: Pair, *legs: Referral) -> Ruling[Referral]:
    """Let the receiver confirm the arrival as far as it knows the referral, and the sender hear it."""
    said = told(pair.say(Side.RECEIVER, Step.ARRIVED))
    heard = hear(pair.sender, said, RECEIVER, act(RECEIVER), legs)
    assert isinstance(heard, Ruling)
    pair.sender = state(heard)
    return heard


def facts_of(ruling: Ruling[Referral]) -> set[tuple[FactCode, Audience, Urgency]]:
    """Return what staff are told."""
    return {(said.code, said.audience, said.urgency) for said in ruling.says if isinstance(said, Fact)}


@pytest.mark.parametrize("on_the_way", [Status.DISCLOSED, Status.MISSED])
@pytest.mark.parametrize("step", WITHDRAWALS)
def test_whoever_arrives_where_nobody_believed_is_awaited_nowhere_else_and_staff_are_told_at_once(
    step: Step, on_the_way: Status
) -> None:
    """A partner that has signed for a withdrawal can say so weeks later; a slow network does the same."""
    first, second = at_status(Status.DISCLOSED), at_status(on_the_way).sender
    state(first.say(Side.SENDER, step, NOON + timedelta(days=1)))
    first.receipt(Side.SENDER, 3)
    heard = arrives(first, second)
    at_once = {(audience, Urgency.IMMEDIATE) for audience in (Audience.ASSIGNEE, Audience.COORDINATOR)}
    assert facts_of(heard) >= {(FactCode.REFERRAL_ARRIVED, *who) for who in at_once}
    (elsewhere,) = heard.also
    assert (state(elsewhere).id, state(elsewhere).status) == (second.id, Status.WITHDRAWN)
    assert told(elsewhere).data.model_dump() == {"reason": WithdrawReason.NO_LONGER_NEEDED}
    assert facts_of(elsewhere) == {(FactCode.REFERRAL_WITHDRAWN, *who) for who in at_once}
    assert elsewhere.entries[0].detail["arrived"] == str(first.sender.id)


def test_an_arrival_ends_what_was_asked_of_others_and_nothing_else() -> None:
    first, candidate = at_status(Status.DISCLOSED), at_status(Status.OPENED).sender
    ended = (at_status(each).sender for each in (Status.DECLINED, Status.WITHDRAWN, Status.CLOSED))
    service, heard_of = at_status(Status.DISCLOSED, ReferralKind.SERVICE).sender, at_status(Status.CLOSED).receiver
    heard = arrives(first, candidate, service, heard_of, *ended)
    assert facts_of(heard) == {(FactCode.REFERRAL_ARRIVED, Audience.ASSIGNEE, Urgency.URGENT)}
    assert [state(each).id for each in heard.also] == [candidate.id]
    assert facts_of(heard.also[0]) == {(FactCode.REFERRAL_WITHDRAWN, Audience.ASSIGNEE, Urgency.URGENT)}
    beside = arrives(at_status(Status.DISCLOSED, ReferralKind.SERVICE), candidate, at_status(Status.DISCLOSED).sender)
    assert beside.also == ()


@pytest.mark.parametrize("kind", sorted(MOVES_ON_ARRIVAL))
def test_whoever_takes_consent_back_after_arrival_is_still_there(kind: ReferralKind) -> None:
    taken_back, left = at_status(Status.ARRIVED, kind), at_status(Status.CLOSED, kind)
    for pair in (taken_back, left):
        state(pair.say(Side.SENDER, Step.CONSENT_WITHDRAWN))
    accepted, asked = at_status(Status.ACCEPTED).sender, at_status(Status.ASKED).sender
    there = taken_back.sender
    assert (there.status, responsible(there)) == (Status.CLOSING, RECEIVER)
    assert disclose(accepted, there) == Ruling.refused(Refused.ANOTHER_CHOSEN, status="accepted")
    assert answer(asked, there) == Ruling.refused(Refused.ANOTHER_CHOSEN, status="asked")
    assert offer(there, categories=WHO) == Ruling.refused(Refused.ANOTHER_CHOSEN)
    assert state(disclose(accepted, left.sender)).status is Status.DISCLOSED
    taken_back.deliver_all()
    state(taken_back.say(Side.RECEIVER, Step.CLOSED))
    taken_back.deliver_all()
    assert state(disclose(accepted, taken_back.sender)).status is Status.DISCLOSED, "they have left"


def test_whoever_left_while_consent_was_taken_back_may_be_handed_over() -> None:
    crossed = at_status(Status.ARRIVED)
    state(crossed.say(Side.SENDER, Step.CONSENT_WITHDRAWN))
    state(crossed.say(Side.RECEIVER, Step.CLOSED))
    crossed.deliver_all()
    assert state(disclose(at_status(Status.ACCEPTED).sender, crossed.sender)).status is Status.DISCLOSED


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("heard_as", sorted(EVERY_KIND))
@pytest.mark.parametrize("kind", sorted(EVERY_KIND))
def test_only_who_answers_for_a_person_hands_them_over(
    kind: ReferralKind, heard_as: ReferralKind, status: Status
) -> None:
    heard = at_status(status, heard_as).receiver
    offered, accepted = offer(heard, kind=kind), at_status(Status.ACCEPTED, kind).sender
    disclosed = disclose(accepted, heard)
    if kind in MOVES_ON_ARRIVAL and responsible(heard) != RECEIVER:
        assert offered == Ruling.refused(Refused.NOT_OURS)
        assert disclosed == Ruling.refused(Refused.NOT_OURS, status="accepted")
    else:
        assert (state(offered).status, state(disclosed).status) == (Status.OFFERED, Status.DISCLOSED)


@pytest.mark.parametrize("status", ON_THE_WAY)
def test_no_candidate_learns_who_it_is_once_another_is_chosen(status: Status) -> None:
    chosen, asked = at_status(status).sender, at_status(Status.ASKED).sender
    assert offer(chosen, categories=WHO) == Ruling.refused(Refused.ANOTHER_CHOSEN)
    assert answer(asked, chosen) == Ruling.refused(Refused.ANOTHER_CHOSEN, status="asked")
    assert state(offer(chosen)).status is Status.OFFERED
    assert state(answer(asked, chosen, categories=frozenset({Category.HEALTH}))).status is Status.OPENED
    assert state(offer(chosen, categories=WHO, kind=ReferralKind.SERVICE)).status is Status.OFFERED
    assert state(offer(at_status(Status.ACCEPTED).sender, categories=WHO)).status is Status.OFFERED


def test_the_other_candidates_of_the_case_are_withdrawn_and_learn_nothing() -> None:
    chosen = at_status(Status.ACCEPTED).sender
    open_one, accepted, declined = (
        at_status(status).sender for status in (Status.OPENED, Status.ACCEPTED, Status.DECLINED)
    )
    open_one = replace(open_one, conversation=chosen.conversation)
    legal_aid = at_status(Status.OPENED, ReferralKind.SERVICE).sender
    heard = at_status(Status.ARRIVED).receiver
    ruling = disclose(chosen, open_one, accepted, declined, legal_aid, heard)
    assert state(ruling).status is Status.DISCLOSED
    assert [state(other).id for other in ruling.also] == [open_one.id, accepted.id]
    for other in ruling.also:
        assert told(other).data.model_dump() == {"reason": WithdrawReason.NO_LONGER_NEEDED}


@dataclass
class OneCase:
    """A case, its referrals with their receivers, and what any of them was told of who it is."""

    pairs: list[Pair] = field(default_factory=list)
    came_after_all: int = 0
    """How often somebody arrived where they were believed to be withdrawn."""

    def others(self, pair: Pair | None = None) -> tuple[Referral, ...]:
        """Return the sender's copies but for that of ``pair``."""
        return tuple(each.sender for each in self.pairs if each is not pair)

    def do(self, ruling: Ruling[Referral], pair: Pair) -> None:
        """Keep what was ruled about ``pair`` and the other referrals, and bring it to their receivers."""
        if ruling.state is None:
            return
        self.check(pair, told(ruling))
        for said in (ruling, *ruling.also):
            self.bring(said)

    def bring(self, said: Ruling[Referral]) -> None:
        """Keep one ruling, and bring what it says to the receiver, whose receipt comes back."""
        copy, event = state(said), told(said)
        there = next(each for each in self.pairs if each.sender.id == copy.id)
        there.sender = copy
        there.deliver(Side.RECEIVER, event)
        there.receipt(Side.SENDER, event.n)

    def come_after_all(self, pair: Pair) -> None:
        """Let a receiver confirm the arrival as though nothing had reached it since the meeting was agreed."""
        agreed = (Step.DISCLOSED, Step.RESCHEDULED)
        seen = max((n for n, move in enumerate(pair.sender.lane(Side.SENDER), 1) if move.step in agreed), default=0)
        self.hear(pair, event(pair.sender, ArrivedData(), len(pair.sender.lane(Side.RECEIVER)) + 1, seen))

    def hear(self, pair: Pair, said: ReferralEvent) -> None:
        """Let the sender hear a receiver, if the rules do; both copies are the same then."""
        heard = hear(pair.sender, said, RECEIVER, act(RECEIVER), self.others(pair))
        if isinstance(heard, Ruling) and heard.state is not None:
            self.came_after_all += said.step is Step.ARRIVED and pair.sender.status is Status.WITHDRAWN
            pair.sender = heard.state
            pair.receiver = replace(pair.receiver, course=heard.state.course)
            for elsewhere in heard.also:
                self.bring(elsewhere)

    def check_where_the_person_is(self) -> None:
        """They are on the way to one organisation at most, and to none once they are somewhere."""
        found = on_the_way(self.others())
        moving = [each for each in found if each.status in (Status.DISCLOSED, Status.MISSED)]
        there = len(found) - len(moving)
        assert len(moving) <= (there == 0)
        assert there <= 1 + self.came_after_all

    def check(self, pair: Pair, said: ReferralEvent) -> None:
        """Who it is goes to no candidate while the person is on the way to another."""
        packet = said.data.packet if isinstance(said.data, OfferedData | AnsweredData | DisclosedData) else None
        if packet is not None and pair.sender.kind in MOVES_ON_ARRIVAL and packet.categories() & IDENTIFYING:
            assert not on_the_way(self.others(pair))


def on_the_way(legs: tuple[Referral, ...]) -> list[Referral]:
    """Return the hand-overs whose receiver the person is on the way to, or who answers for them and has not closed."""
    return [
        each
        for each in legs
        if each.kind in MOVES_ON_ARRIVAL
        and (each.status in ON_THE_WAY or (responsible(each) == RECEIVER and not left(each)))
    ]


def left(leg: Referral) -> bool:
    """Tell whether the receiver has said that the person left, and it took effect."""
    side, superseded = Side.RECEIVER, leg.standing.superseded
    lane = enumerate(leg.lane(side), start=1)
    return any(move.step is Step.CLOSED and (side, n) not in superseded for n, move in lane)


RECEIVERS_STEPS = (Step.ASKED, Step.ACCEPTED, Step.MISSED, Step.ARRIVED, Step.CLOSED)
MEETING_AGAIN = sending.RescheduleAsked.model_validate({"meeting": {"withheld": ["when", "where", "who"]}})


def try_something(case: OneCase, which: int, what: str) -> None:
    """Let staff on either side try ``what`` about one of the case's referrals; most of it is refused."""
    pair = case.pairs[which % len(case.pairs)]
    others = case.others(pair)
    match what:
        case "disclose":
            case.do(disclose(pair.sender, *others), pair)
        case "answer":
            case.do(answer(pair.sender, *others), pair)
        case "reschedule":
            given = casefile(grant(), legs=others)
            case.do(sending.reschedule(pair.sender, act(), MEETING_AGAIN, given, recipient()), pair)
        case "withdraw":
            case.do(sending.withdraw(pair.sender, act(), WithdrawReason.UNSAFE), pair)
        case "withdraw-consent":
            case.do(sending.withdraw_consent(pair.sender, act()), pair)
        case "come-after-all":
            case.come_after_all(pair)
        case _:
            ruling = pair.say(Side.RECEIVER, Step(what))
            pair.under_way[Side.SENDER].clear()
            if ruling.state is not None:
                case.hear(pair, told(ruling))


KINDS = st.sampled_from([*MOVES_ON_ARRIVAL, *MOVES_ON_ARRIVAL, ReferralKind.SERVICE])
OFFERS = st.tuples(KINDS, st.booleans(), st.booleans())
SENDERS_TRIES = ("disclose", "disclose", "answer", "reschedule", "withdraw", "withdraw-consent")
TRIES = st.tuples(
    st.integers(0, 3),
    st.sampled_from([*SENDERS_TRIES, "come-after-all", *RECEIVERS_STEPS]),
)


BEGUN = st.tuples(st.sampled_from(ON_THE_WAY), st.just(Status.ACCEPTED))
"""Where a hand-over and another candidate stand: with nothing begun, chance seldom gets as far as the end of one."""


@example(begun=(Status.ARRIVED, Status.ACCEPTED), acts=[(0, "withdraw-consent"), (1, "disclose")])
@example(begun=(Status.DISCLOSED, Status.ACCEPTED), acts=[(0, "withdraw"), (1, "disclose"), (0, "come-after-all")])
@given(begun=st.just(()) | BEGUN, acts=st.lists(OFFERS | TRIES, max_size=40))
def test_whatever_staff_do_the_person_is_on_the_way_to_one_organisation(
    begun: tuple[Status, ...], acts: list[tuple[object, ...]]
) -> None:
    case = OneCase([at_status(status) for status in begun])
    for each in acts:
        match each:
            case (ReferralKind() as kind, bool(says_who), bool(names)):
                named = {"conversation": case.pairs[0].sender.conversation} if names and case.pairs else {}
                made = offer(*case.others(), kind=kind, categories=WHO if says_who else frozenset(), **named)
                if made.state is not None:
                    case.pairs.append(Pair.of(made))
                    case.check(case.pairs[-1], told(made))
            case (int(which), str(what)) if case.pairs:
                try_something(case, which, what)
            case _:
                pass
        case.check_where_the_person_is()
