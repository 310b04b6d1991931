"""What goes on about a referral whose case was erased: what its partner is owed, in codes, and nothing that is read."""

from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType

import pytest

from services.referral.domain import hearing
from services.referral.domain.casefile import CaseFile
from services.referral.domain.erased import in_codes
from services.referral.domain.leaving import Today
from services.referral.domain.life import SAID_BY, TABLE, Side
from services.referral.domain.reading import read_packet
from services.referral.domain.referral import AT_ONCE, Referral, Repeat
from services.referral.domain.refusals import Refused
from services.referral.domain.repeating import repeat_lane, say_again
from services.referral.domain.ruling import Ruling
from services.referral.domain.saying import say
from services.referral.domain.sending import withdraw_consent
from shared.contracts.codes import Category, Status, Step
from shared.contracts.event_data import EventData
from shared.contracts.exchange import EVENTS
from tests.support.referral_pairs import at_status, words_for
from tests.support.referrals import NOON, act, released
from tests.unit.test_referral_agreed import IN_CODES

ERASED = Ruling[Referral].refused(Refused.ERASED)

CODES_ALONE = (
    Step.ARRIVED,
    Step.CLOSED,
    Step.CONSENT_WITHDRAWN,
    Step.DECLINED,
    Step.MISSED,
    Step.REDIRECTED,
    Step.WITHDRAWN,
)
"""What can be said without a word, and without having read anything."""


def said(step: Step, data: EventData) -> Ruling[Referral]:
    """Return the ruling that says ``step``, from a status where that can be."""
    status = next(status for status, each in TABLE if each is step and status not in (None, Status.OFFERED))
    assert status is not None
    ruling = say(at_status(status).copy(SAID_BY[step]), act(), EVENTS[step], data, released(*Category))
    assert ruling.refusal is None
    return ruling


@pytest.mark.parametrize("step", CODES_ALONE)
def test_what_is_owed_goes_in_codes_under_no_case(step: Step) -> None:
    ruling = said(step, IN_CODES[step])
    goes = in_codes(ruling)
    assert (goes.state, goes.says) == (ruling.state, ruling.says)
    assert [line.code for line in goes.entries] == [line.code for line in ruling.entries]
    assert {line.case for line in goes.entries} == {None}
    assert goes.papers == ()


@pytest.mark.parametrize("step", [step for step in EVENTS if step is not Step.OFFERED and step not in CODES_ALONE])
def test_what_discloses_asks_or_was_read_does_not(step: Step) -> None:
    assert in_codes(said(step, words_for(at_status(Status.ARRIVED).receiver, step))) == ERASED


@pytest.mark.parametrize("step", [Step.DECLINED, Step.MISSED, Step.REDIRECTED])
def test_what_is_owed_does_not_go_in_words(step: Step) -> None:
    assert in_codes(said(step, IN_CODES[step].model_copy(update={"note": "Canary"}))) == ERASED


def test_nobody_reads_and_what_is_refused_is_told_to_be_erased() -> None:
    assert in_codes(read_packet(at_status(Status.RECEIVED).receiver, act())) == ERASED
    assert in_codes(read_packet(at_status(Status.OPENED).receiver, act())) == ERASED
    assert in_codes(read_packet(at_status(Status.OPENED).sender, act())) == ERASED
    assert in_codes(withdraw_consent(at_status(Status.OPENED).receiver, act())) == ERASED


def test_the_whole_lane_is_said_again_without_its_papers_and_a_proof_ends_it() -> None:
    referral = in_codes(withdraw_consent(at_status(Status.DISCLOSED).sender, act())).state
    assert referral is not None
    lane = range(1, len(referral.lane(Side.SENDER)) + 1)
    asked = in_codes(repeat_lane(referral, act())).state
    assert asked is not None
    again = in_codes(say_again(asked, MappingProxyType({}), act(at=NOON + timedelta(days=1)), Today(CaseFile(), None)))
    assert [tell.event.n for tell in again.tells] == list(lane)
    assert again.tells[-1].event.step is Step.CONSENT_WITHDRAWN
    assert {line.case for line in again.entries} == {None}
    last = replace(asked, repeats=MappingProxyType({lane[-1]: Repeat(1, AT_ONCE)}))
    proved = in_codes(hearing.hear_receipt(last, act(), lane[-1]))
    assert proved.state is not None
    assert (proved.state.repeats, lane[-1] in proved.state.proved) == ({}, True)
