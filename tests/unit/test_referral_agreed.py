"""What an agreement lets out and in: everything while it is in force; what concludes, in codes, before and after."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from services.referral.domain.agreed import Agreed, keep_to, needed, not_heard, not_said
from services.referral.domain.casefile import CaseFile
from services.referral.domain.casework import take_back
from services.referral.domain.life import SAID_BY, STEPS, TABLE
from services.referral.domain.moves import has_words
from services.referral.domain.repeating import say_again
from services.referral.domain.ruling import Ruling
from shared.contracts.codes import DeclinedBy, DeclineReason, MissReason, Outcome, Status, Step
from shared.contracts.event_data import ClosedData, DeclinedData, EventData, MissedData, RedirectedData
from shared.contracts.exchange import EVENTS, ReferralEvent
from shared.contracts.ids import OrganisationId
from tests.support.referral_pairs import NAMES, at_status
from tests.support.referrals import BY_STEP, CANARY, NOON, RECEIVER, SENDER, act, grant, offered, today, told

DAY = timedelta(days=1)
NOW = Agreed(NOON - DAY, NOON + DAY)
ENDED, TO_COME = Agreed(NOON - 2 * DAY, NOON), Agreed(NOON + timedelta(seconds=1), NOON + DAY)
OTHERWISE = [(ENDED, "agreement-expired"), (TO_COME, "agreement-none")]
POSSIBLE = [(status, step) for status in Status for step in SAID_BY if (status, step) in TABLE]


IN_CODES: Mapping[Step, EventData] = {
    **BY_STEP,
    Step.DECLINED: DeclinedData(reason=DeclineReason.NO_CAPACITY, by=DeclinedBy.PROVIDER),
    Step.REDIRECTED: RedirectedData(to=OrganisationId("havre-be"), reason=DeclineReason.NO_CAPACITY),
    Step.MISSED: MissedData(reason=MissReason.TIME_PASSED),
    Step.CLOSED: ClosedData(outcome=Outcome.GOT_HELP),
}
"""One example of each, without a word where it can be said so."""
IN_WORDS = [
    *(IN_CODES[step].model_copy(update={"note": CANARY}) for step in (Step.DECLINED, Step.MISSED, Step.CLOSED)),
    RedirectedData(to=OrganisationId("havre-be"), reason=DeclineReason.NO_CAPACITY, note=CANARY),
    RedirectedData(name=CANARY, reason=DeclineReason.NO_CAPACITY),
]


def event(data: EventData, at: datetime = NOON) -> ReferralEvent:
    """Return an event that says ``data``."""
    step = next(step for step, known in BY_STEP.items() if type(known) is type(data))
    first = told(offered())
    return EVENTS[step].model_validate(
        {"id": first.id, "at": at, "conversation": first.conversation, "referral": first.referral, "n": 1, "seen": 0}
        | {"data": data}
    )


@pytest.mark.parametrize("step", BY_STEP)
def test_while_it_is_in_force_everything_is_said_and_heard(step: Step) -> None:
    for rule in (not_said, not_heard):
        assert rule(event(BY_STEP[step]), NOW, NOON) is None


@pytest.mark.parametrize("step", BY_STEP)
@pytest.mark.parametrize(("agreed", "code"), OTHERWISE)
def test_otherwise_what_has_happened_or_ends_access_alone(step: Step, agreed: Agreed, code: str) -> None:
    said = event(IN_CODES[step])
    for rule in (not_said, not_heard):
        assert rule(said, agreed, NOON) == (None if STEPS[step].owed else code)


@pytest.mark.parametrize("data", [*IN_WORDS, *BY_STEP.values()])
def test_whatever_is_no_code_and_no_time_is_words(data: EventData) -> None:
    """Each field of its own: the packet, a meeting, a text and a name are words; a reason, a day and an id are not."""
    clear = {"reason", "by", "until", "to", "code", "outcome", "kind", "urgency", "expected"}
    assert has_words(data) == any(name not in clear and value is not None for name, value in data)


@pytest.mark.parametrize("data", IN_WORDS)
@pytest.mark.parametrize(("agreed", "code"), OTHERWISE)
def test_otherwise_no_word_leaves_and_what_has_happened_is_heard_with_its_words(
    data: EventData, agreed: Agreed, code: str
) -> None:
    assert not_said(event(data), agreed, NOON) == code
    assert not_heard(event(data), agreed, NOON) is None


@pytest.mark.parametrize("step", BY_STEP)
@pytest.mark.parametrize("earlier", [DAY, 30 * DAY])
def test_what_was_said_before_its_end_is_heard_late_be_it_under_an_agreement_before_it(
    step: Step, earlier: timedelta
) -> None:
    """A lane without it would wait for ever, and consent that is taken back would wait in it."""
    before, afterwards = event(BY_STEP[step], NOON - earlier), event(BY_STEP[step], NOON + DAY)
    assert not_heard(before, ENDED, NOON + 30 * DAY) is None
    assert (not_heard(before, TO_COME, NOON) is None) == STEPS[step].owed, "it waits for the next one to begin"
    assert (not_heard(afterwards, ENDED, NOON + 30 * DAY) is None) == STEPS[step].owed


def test_the_end_is_not_part_of_it_and_the_beginning_is() -> None:
    accepted = event(BY_STEP[Step.ACCEPTED])
    assert not_said(accepted, ENDED, ENDED.until) == "agreement-expired"
    assert not_said(accepted, TO_COME, TO_COME.since) is None
    assert not_said(accepted, TO_COME, TO_COME.since - timedelta(microseconds=1)) == "agreement-none"


@pytest.mark.parametrize(("status", "step"), POSSIBLE)
def test_a_command_that_says_too_much_changes_nothing(status: Status, step: Step) -> None:
    pair = at_status(status)
    ruling = pair.say(SAID_BY[step], step)
    partner = NAMES[SAID_BY[step].other]
    assert keep_to(ruling, {partner: NOW}, NOON) is ruling
    after = keep_to(ruling, {partner: ENDED}, NOON)
    fault = not_said(told(ruling), ENDED, NOON)
    assert after == (ruling if fault is None else Ruling.refused(fault))


def test_consent_is_taken_back_from_every_holder_whatever_became_of_the_agreement() -> None:
    given, leg = grant(), at_status(Status.DISCLOSED).sender
    ruling = take_back(CaseFile(grants=(given,), legs=(leg,)), act(), given.id)
    for agreed in (NOW, ENDED, TO_COME, None):
        assert keep_to(ruling, {RECEIVER: agreed}, NOON) is ruling


def test_what_follows_for_another_referral_is_asked_as_well() -> None:
    disclosed = at_status(Status.ACCEPTED).say(SAID_BY[Step.DISCLOSED], Step.DISCLOSED)
    assert keep_to(Ruling(also=(disclosed,)), {RECEIVER: ENDED}, NOON) == Ruling.refused("agreement-expired")


@pytest.mark.parametrize("agreed", [ENDED, TO_COME, None])
def test_what_is_said_again_without_its_words_does_not_hold_up_consent_that_is_taken_back(
    agreed: Agreed | None,
) -> None:
    pair = at_status(Status.ACCEPTED)
    for step in (Step.DISCLOSED, Step.CONSENT_WITHDRAWN):
        pair.say(SAID_BY[step], step)
    said = say_again(pair.sender, {}, act(at=NOON + DAY), today(agreed=False))
    assert [tell.event.step for tell in said.tells] == [Step.DISCLOSED, Step.CONSENT_WITHDRAWN]
    assert keep_to(said, {RECEIVER: agreed}, NOON + DAY) is said


def test_what_was_said_while_it_was_in_force_is_said_again_after_its_end() -> None:
    pair = at_status(Status.OPENED)
    declined = pair.say(SAID_BY[Step.DECLINED], Step.DECLINED)
    papers = {told(declined).n: {str(paper.name): paper.content for paper in declined.papers}}
    said = say_again(pair.receiver, papers, act(at=NOON + DAY), today())
    assert [tell.event for tell in said.tells] == [told(declined)]
    assert keep_to(said, {SENDER: Agreed(NOON - DAY, NOON + timedelta(seconds=1))}, NOON + DAY) is said


def test_whoever_is_told_must_hear_the_type_and_whoever_is_offered_somebody_that_it_is_taken_back() -> None:
    for step, data in BY_STEP.items():
        own = {f"referral.{step.value}.v1"}
        taken_back = {"referral.withdrawn.v1", "referral.consent-withdrawn.v1"} if step is Step.OFFERED else set()
        assert needed(event(data)) == own | taken_back
