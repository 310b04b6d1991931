"""What is not proved is said again: when, in which words, and until when."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from services.referral.domain.hearing import hear, hear_offer, hear_receipt
from services.referral.domain.leaving import Today
from services.referral.domain.life import SAID_BY, STEPS, TABLE, Side
from services.referral.domain.moves import contents, move_of, papers_of
from services.referral.domain.referral import Referral
from services.referral.domain.repeating import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    left_unsaid,
    next_after,
    once_said,
    repeat_lane,
    say_again,
)
from services.referral.domain.retelling import NO_WORDS, Unreadable, retold
from services.referral.domain.ruling import Ruling, Tell
from services.referral.domain.saying import say
from shared.contracts.codes import (
    EVERY_KIND,
    Category,
    DeclinedBy,
    DeclineReason,
    Outcome,
    RecipientKind,
    Status,
    Step,
)
from shared.contracts.event import encode
from shared.contracts.event_data import ClosedData, DeclinedData, Terms
from shared.contracts.exchange import EVENTS, ReferralEvent, ReferralOffered, decode
from shared.contracts.facts import Audience, Fact, FactCode
from shared.contracts.packet import NOTHING_DISCLOSED
from shared.contracts.personal import Personal
from tests.support.referral_pairs import NAMES, Pair, at_status
from tests.support.referrals import (
    BRUSSELS,
    BY_STEP,
    CANARY,
    NOON,
    NOOR,
    RECEIVER,
    SENDER,
    act,
    event,
    grant,
    offered,
    state,
    today,
    told,
)

DAY = timedelta(days=1)
WAITING = [step for step, traits in STEPS.items() if not traits.owed]
"""What waits for an agreement."""
SAID = [(status, step) for status in Status for step in SAID_BY if (status, step) in TABLE]


def papers(*rulings: Ruling[Referral]) -> dict[int, dict[str, Personal]]:
    """Return what the store gives of our own papers."""
    found: dict[int, dict[str, Personal]] = {}
    for paper in (each for ruling in rulings for each in ruling.papers):
        found.setdefault(paper.n, {})[paper.name] = paper.content
    return found


def unproved(step: Step) -> tuple[Referral, dict[int, dict[str, Personal]], Ruling[Referral]]:
    """Return the copy of whoever has just said ``step``, its papers, and what was decided."""
    if step is Step.OFFERED:
        sent = offered()
        return state(sent), papers(sent), sent
    pair = at_status(next(status for status, said in SAID if said is step))
    sent = pair.say(SAID_BY[step], step)
    return pair.copy(SAID_BY[step]), papers(sent), sent


def again(
    referral: Referral,
    own: Mapping[int, Mapping[str, Personal]],
    after: timedelta = DAY,
    *,
    agreed: bool = True,
) -> tuple[Referral, list[ReferralEvent]]:
    """Return the referral a while after noon, and what is said again then."""
    ruling = say_again(referral, own, act(at=NOON + after), today(agreed=agreed))
    return ruling.state or referral, [said.event for said in ruling.says if isinstance(said, Tell)]


def test_the_pauses_grow_from_two_minutes_to_a_day() -> None:
    pauses = [next_after(times, NOON).at - NOON for times in range(1, 40)]
    assert (pauses[0], pauses[-1]) == (FIRST_PAUSE, LONGEST_PAUSE)
    assert all(later == min(2 * earlier, LONGEST_PAUSE) for earlier, later in pairwise(pauses))
    assert sum(pauses[:30], timedelta()) > timedelta(days=14), "a partner that is away is not flooded"


def test_nothing_is_said_before_its_time_and_then_once() -> None:
    sent = offered()
    referral, own = state(sent), papers(sent)
    assert say_again(referral, own, act(at=NOON + FIRST_PAUSE - timedelta(seconds=1)), today()) == Ruling()
    later, events = again(referral, own, FIRST_PAUSE)
    assert events == [told(sent)]
    assert later.repeats[1] == next_after(2, NOON + FIRST_PAUSE)
    assert say_again(later, own, act(at=NOON + FIRST_PAUSE), today()) == Ruling()


def test_every_repeat_is_a_line_of_the_audit_trail() -> None:
    sent = offered()
    (line,) = say_again(state(sent), papers(sent), act(at=NOON + DAY), today()).entries
    assert (line.code, line.detail) == ("referral.said", {"step": "offered", "n": "1", "words": "left"})


def test_it_says_whether_the_words_left_again() -> None:
    referral, own = withdrawn_after(Step.DISCLOSED)
    lines = say_again(referral, own, act(at=NOON + DAY), today()).entries
    assert [(line.detail["step"], line.detail["words"]) for line in lines] == [
        ("disclosed", "emptied"),
        ("consent-withdrawn", "left"),
    ]


def test_a_receipt_ends_it() -> None:
    sent = offered()
    proved = state(hear_receipt(state(sent), act(), 1))
    assert not proved.repeats
    assert say_again(proved, papers(sent), act(at=NOON + DAY), today()) == Ruling()


def test_so_does_what_the_partner_says_in_the_knowledge_of_it() -> None:
    pair = Pair.of(offered())
    assert set(pair.sender.repeats) == {1}
    pair.deliver(Side.SENDER, told(pair.say(Side.RECEIVER, Step.OPENED)))
    assert not pair.sender.repeats


@pytest.mark.parametrize(("status", "step"), SAID)
def test_what_is_said_again_says_the_same_and_changes_nothing(status: Status, step: Step) -> None:
    pair = at_status(status)
    side = SAID_BY[step]
    ruling = pair.say(side, step)
    event, copy = told(ruling), pair.copy(side)
    retelling = retold(copy, event.n, papers(ruling)[event.n] if ruling.papers else {})
    assert encode(retelling) == encode(event)
    assert {paper.name: paper.content for paper in papers_of(retelling, copy.case)} == (
        {paper.name: paper.content for paper in ruling.papers}
    )
    pair.deliver_all()
    before = pair.copy(side.other)
    assert hear(before, retelling, NAMES[side], act(NAMES[side.other])) == Ruling()


@pytest.mark.parametrize("step", BY_STEP)
def test_without_its_papers_an_event_keeps_its_number_and_its_codes_and_says_nothing(step: Step) -> None:
    referral, _, ruling = unproved(step)
    event = told(ruling)
    emptied = retold(referral, event.n, {})
    assert CANARY.encode() not in encode(emptied)
    assert move_of(emptied) == move_of(event)


def withdrawn_after(step: Step) -> tuple[Referral, dict[int, dict[str, Personal]]]:
    """Return the sender's copy: what disclosed something and what ends it are both unproved."""
    pair = at_status(Status.ASKED if step is Step.ANSWERED else Status.ACCEPTED)
    said, ends = pair.say(Side.SENDER, step), pair.say(Side.SENDER, Step.CONSENT_WITHDRAWN)
    return pair.sender, papers(said, ends)


@pytest.mark.parametrize("step", [Step.ANSWERED, Step.DISCLOSED])
def test_what_consent_was_taken_back_for_goes_empty_so_that_the_withdrawal_is_not_waited_for(step: Step) -> None:
    referral, own = withdrawn_after(step)
    _, events = again(referral, own)
    assert [event.step for event in events] == [step, Step.CONSENT_WITHDRAWN]
    assert CANARY.encode() not in b"".join(map(encode, events))


def test_an_emptied_event_lets_the_withdrawal_through() -> None:
    pair = at_status(Status.ACCEPTED)
    disclosed, ends = pair.say(Side.SENDER, Step.DISCLOSED), pair.say(Side.SENDER, Step.CONSENT_WITHDRAWN)
    pair.under_way[Side.RECEIVER].clear()
    _, events = again(pair.sender, papers(disclosed, ends))
    for said in events:
        assert isinstance(pair.deliver(Side.RECEIVER, said, NOON + DAY), Ruling)
    assert pair.receiver.course == pair.sender.course
    assert pair.receiver.status is Status.WITHDRAWN


def test_words_go_again_only_while_the_terms_run() -> None:
    sent = offered()
    until = NOON + timedelta(hours=1)
    referral = replace(state(sent), terms=Terms(purposes=state(sent).terms.purposes, until=until))
    _, events = again(referral, papers(sent), timedelta(minutes=59))
    assert [event.step for event in events] == [Step.OFFERED]
    later, (emptied,) = again(referral, papers(sent), timedelta(hours=1))
    assert CANARY.encode() not in encode(emptied)
    assert set(later.repeats) == {1}, "until it is proved"


REFUSED_TODAY = [
    today(kind=RecipientKind.POLICE),
    today(grant(until=NOON + timedelta(hours=1))),
    today(grant(Category.SUMMARY)),
    today(grant(explained=False)),
]
"""Nobody took anything back, and the gate would not let it go any more."""


@pytest.mark.parametrize("now", REFUSED_TODAY)
def test_what_the_gate_would_not_let_go_today_goes_without_its_words(now: Today) -> None:
    referral, own, sent = unproved(Step.DISCLOSED)
    (whole,) = say_again(referral, own, act(at=NOON + DAY), today()).tells
    assert whole.event == told(sent)
    (emptied,) = say_again(referral, own, act(at=NOON + DAY), now).tells
    assert (emptied.event.step, emptied.event.n) == (Step.DISCLOSED, told(sent).n)
    assert CANARY.encode() not in encode(emptied.event)


def test_whoever_follows_an_open_referral_is_told_once_that_words_do_not_reach_the_partner() -> None:
    referral, own, _ = unproved(Step.DISCLOSED)
    refused = today(grant(explained=False))
    first = say_again(referral, own, act(at=NOON + DAY), refused)
    (fact,) = [said for said in first.says if isinstance(said, Fact)]
    assert (fact.code, fact.audience, fact.assignee) == (FactCode.REFERRAL_EMPTIED, Audience.ASSIGNEE, NOOR)
    second = say_again(state(first), own, act(at=NOON + 3 * DAY), refused)
    assert [type(said) for said in second.says] == [Tell], "it was told of that event already"
    whole = say_again(state(second), own, act(at=NOON + 6 * DAY), today())
    assert not state(whole).emptied
    assert not state(hear_receipt(state(second), act(), first.tells[0].event.n)).emptied


def test_of_what_consent_was_taken_back_for_staff_know_already() -> None:
    referral, own = withdrawn_after(Step.DISCLOSED)
    ruling = say_again(referral, own, act(at=NOON + DAY), today())
    assert [line.detail["words"] for line in ruling.entries] == ["emptied", "left"]
    assert [type(said) for said in ruling.says] == [Tell, Tell]


@pytest.mark.parametrize("step", [Step.ANSWERED, Step.RESCHEDULED])
def test_words_in_no_category_rest_on_the_summary(step: Step) -> None:
    referral, own, _ = unproved(step)
    only_identity = today(grant(Category.IDENTITY))
    (tell,) = say_again(referral, own, act(at=NOON + DAY), only_identity).tells
    assert CANARY.encode() not in encode(tell.event)


def test_an_offer_that_would_be_refused_today_says_nothing_of_anybody() -> None:
    referral, own, _ = unproved(Step.OFFERED)
    (tell,) = say_again(referral, own, act(at=NOON + DAY), today(kind=RecipientKind.IMMIGRATION)).tells
    assert isinstance(tell.event, ReferralOffered)
    assert tell.event.data.packet == NOTHING_DISCLOSED


def test_what_a_receiver_says_rests_on_no_grant_of_its_own() -> None:
    referral, own, sent = unproved(Step.ACCEPTED)
    (tell,) = say_again(referral, own, act(at=NOON + DAY), today(grant(Category.LEGAL))).tells
    assert tell.event == told(sent)


@pytest.mark.parametrize("step", WAITING)
def test_what_an_agreement_alone_is_missing_for_waits_for_it_and_leaves_whole(step: Step) -> None:
    referral, own, sent = unproved(step)
    waits = say_again(referral, own, act(at=NOON + DAY), today(agreed=False))
    assert (waits.says, waits.entries) == ((), ())
    (n,) = referral.repeats
    assert state(waits).repeats[n].times == referral.repeats[n].times
    assert again(state(waits), own)[1] == [], "it is not looked at every second meanwhile"
    assert again(state(waits), own, DAY + LONGEST_PAUSE)[1] == [told(sent)]


@pytest.mark.parametrize("step", [step for step in WAITING if step is not Step.OFFERED])
def test_what_nothing_else_allows_does_not_wait_for_an_agreement(step: Step) -> None:
    referral, own, _ = unproved(step)
    over = replace(referral, terms=Terms(purposes=referral.terms.purposes, until=NOON + timedelta(hours=1)))
    _, events = again(over, own, agreed=False)
    assert [event.step for event in events] == [step]
    assert CANARY.encode() not in b"".join(map(encode, events))


@pytest.mark.parametrize("step", [Step.ANSWERED, Step.DISCLOSED])
def test_consent_that_is_taken_back_waits_for_no_agreement_nor_does_what_stands_before_it(step: Step) -> None:
    referral, own = withdrawn_after(step)
    _, events = again(referral, own, agreed=False)
    assert [event.step for event in events] == [step, Step.CONSENT_WITHDRAWN]


PAIRS = [(first, second) for first in STEPS for second in STEPS if SAID_BY[first] is SAID_BY[second]]


@pytest.mark.parametrize("proved", [True, False])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_nothing_that_may_not_wait_waits_behind_something_that_does_not_go(
    first: Step, second: Step, *, proved: bool
) -> None:
    """The receipt for the later one says that the partner's door has it: its desk waits for the one before."""
    referral, own, sent = unproved(first)
    n, seen = told(sent).n + 1, len(referral.lane(referral.side.other))
    later = move_of(event(referral, BY_STEP[second], n, seen))
    both = once_said(replace(referral, course=referral.course.then(referral.side, later)), n, NOON)
    left = state(hear_receipt(both, act(), n)) if proved else both
    _, events = again(left, own, agreed=False)
    owed = {n - 1: STEPS[first].owed or STEPS[second].owed, n: STEPS[second].owed and not proved}
    assert {each.n for each in events} >= {number for number, may_not_wait in owed.items() if may_not_wait}


@pytest.mark.parametrize("step", [step for step, data in BY_STEP.items() if contents(data)])
def test_a_paper_that_cannot_be_opened_takes_all_words_of_its_event_with_it(step: Step) -> None:
    referral, own, sent = unproved(step)
    (n,) = own
    for damaged in own[n]:
        ruling = say_again(referral, {n: own[n] | {damaged: Unreadable()}}, act(at=NOON + DAY), today())
        (tell,) = ruling.tells
        assert move_of(tell.event) == move_of(told(sent))
        assert CANARY.encode() not in encode(tell.event)
        assert [line.detail["words"] for line in ruling.entries] == ["emptied"]


@pytest.mark.parametrize("step", [Step.DECLINED, Step.REDIRECTED, Step.MISSED])
def test_without_an_agreement_what_the_sender_must_know_goes_at_once_and_without_its_note(step: Step) -> None:
    referral, own, sent = unproved(step)
    (whole,), (emptied,) = again(referral, own)[1], again(referral, own, agreed=False)[1]
    assert whole == told(sent)
    assert move_of(emptied) == move_of(whole)
    assert CANARY.encode() not in encode(emptied)


@pytest.mark.parametrize("note", [CANARY, None])
def test_a_day_is_no_word(note: str | None) -> None:
    until = (NOON + DAY).date()
    data = DeclinedData(reason=DeclineReason.WAITING_LIST, by=DeclinedBy.PROVIDER, until=until, note=note)
    said = say(at_status(Status.OPENED).receiver, act(), EVENTS[Step.DECLINED], data)
    ruling = say_again(state(said), papers(said), act(at=NOON + DAY), today(agreed=False))
    assert [tell.event.data for tell in ruling.tells] == [data.model_copy(update={"note": None})]
    assert [line.detail["words"] for line in ruling.entries] == ["left" if note is None else "emptied"]


def test_news_does_not_wait_for_an_agreement_once_the_person_has_left() -> None:
    pair = at_status(Status.ARRIVED)
    news, left = pair.say(Side.RECEIVER, Step.PROGRESSED), pair.say(Side.RECEIVER, Step.CLOSED)
    _, events = again(pair.receiver, papers(news, left), agreed=False)
    assert [event.step for event in events] == [Step.PROGRESSED, Step.CLOSED]
    assert CANARY.encode() not in b"".join(map(encode, events))


@pytest.mark.parametrize("agreed", [True, False])
@pytest.mark.parametrize("step", [Step.WITHDRAWN, Step.CONSENT_WITHDRAWN])
def test_whoever_never_had_a_withdrawn_offer_hears_that_it_is_withdrawn_and_waits_for_nothing(
    step: Step, *, agreed: bool
) -> None:
    sent = offered()
    pair = Pair.of(sent)
    ends = pair.say(Side.SENDER, step)
    assert told(ends).n == 2
    _, (offer, withdrawal) = again(pair.sender, papers(sent, ends), agreed=agreed)
    assert CANARY.encode() not in encode(offer)
    assert decode(encode(offer)) == offer, "a partner can read it"
    assert isinstance(offer, ReferralOffered)
    late = act(at=NOON + DAY)
    taken = hear_offer(offer, SENDER, RECEIVER, late, case=pair.receiver.case, hours=BRUSSELS, kinds=EVERY_KIND)
    heard = hear(state(taken), withdrawal, SENDER, late)
    assert isinstance(heard, Ruling)
    assert state(heard).status is Status.WITHDRAWN


@pytest.mark.parametrize("status", Status)
def test_what_ends_access_always_goes_whole(status: Status) -> None:
    """Whatever became of the referral since: only what is owed stands for what has happened."""
    pair = at_status(status)
    owed = [step for state_, step in SAID if state_ is status and STEPS[step].owed and step is not Step.CLOSED]
    for step in owed:
        fresh = at_status(status)
        ruling = fresh.say(SAID_BY[step], step)
        _, events = again(fresh.copy(SAID_BY[step]), papers(ruling))
        assert told(ruling) in events
    assert pair.sender.status is status


def test_a_whole_lane_is_said_again_though_all_of_it_is_proved() -> None:
    pair = at_status(Status.ARRIVED)
    assert not pair.receiver.repeats
    asked = repeat_lane(pair.receiver, act())
    (line,) = asked.entries
    assert (line.code, line.detail) == ("referral.repeated", {"count": "2"})
    referral, events = again(state(asked), {}, timedelta())
    assert [event.n for event in events] == [1, 2]
    assert referral.proved == pair.receiver.proved
    assert set(referral.repeats) == {1, 2}, "until it is proved anew"
    assert not state(hear_receipt(state(hear_receipt(referral, act(), 1)), act(), 2)).repeats


@pytest.mark.parametrize("step", [Step.PROGRESSED, Step.CLOSED])
def test_how_the_person_is_goes_again_without_a_word_when_the_person_does_not_let_it_flow_back(step: Step) -> None:
    """What has happened is true all the same, so that its codes go."""
    pair = at_status(Status.ARRIVED)
    said = pair.say(Side.RECEIVER, step)
    running, own = pair.receiver, papers(said)
    assert CANARY.encode() in encode(again(running, own)[1][0])
    silent = replace(running, terms=Terms(purposes=running.terms.purposes, feedback=False))
    ended = replace(running, terms=Terms(purposes=running.terms.purposes, until=NOON, feedback=True))
    pair.deliver(Side.RECEIVER, told(pair.say(Side.SENDER, Step.CONSENT_WITHDRAWN)))
    assert (Side.RECEIVER, told(said).n) not in pair.receiver.standing.superseded
    for referral in (silent, ended, pair.receiver):
        _, events = again(referral, own)
        assert [event.step for event in events] == [step]
        assert CANARY.encode() not in encode(events[0])


@pytest.mark.parametrize("outcome", Outcome)
def test_an_outcome_goes_without_its_words_and_with_a_stroke_only_where_it_must_have_some(outcome: Outcome) -> None:
    receiver = at_status(Status.ARRIVED).receiver
    closed = say(receiver, act(), EVENTS[Step.CLOSED], ClosedData(outcome=outcome, note=CANARY))
    emptied = retold(state(closed), told(closed).n, {})
    assert emptied.data == ClosedData(outcome=outcome, note=NO_WORDS if outcome is Outcome.OTHER else None)


def test_what_was_never_said_is_not_repeated_with_the_lane() -> None:
    """It is said for the first time once it can be; until then the partner cannot have seen it."""
    pair = at_status(Status.OPENED)
    withdrawn = state(pair.say(Side.SENDER, Step.WITHDRAWN))
    repeated = state(repeat_lane(left_unsaid(withdrawn, [2]), act()))
    assert (repeated.unsaid, repeated.told) == (frozenset({2}), 1)
    assert repeated.repeats[1].times == 1
