"""Whoever opens an offer has read it, and its sender learns so; every reading leaves its line."""

import pytest

from services.referral.domain.life import Side
from services.referral.domain.reading import read_packet
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Ruling, Tell
from shared.contracts.codes import Status, Step
from tests.support.referral_pairs import at_status
from tests.support.referrals import NOON, ZOE, act, state

ENDED = (Status.DECLINED, Status.REDIRECTED, Status.CLOSING, Status.WITHDRAWN)


def test_to_open_the_packet_of_an_offer_says_that_it_was_read() -> None:
    offer = at_status(Status.RECEIVED).receiver
    read = read_packet(offer, act(ZOE))
    assert [entry.code for entry in read.entries] == ["referral.opened", "referral.read"]
    (told,) = read.says
    assert isinstance(told, Tell)
    assert (told.to, told.event.step) == (offer.sender, Step.OPENED)
    known = state(read)
    assert (known.status, known.assignee, known.standing.read_at) == (Status.OPENED, ZOE, NOON)
    again = read_packet(known, act(ZOE))
    assert (again.state, again.says, [entry.code for entry in again.entries]) == (None, (), ["referral.read"])


@pytest.mark.parametrize("status", [status for status in Status if status not in (*ENDED, Status.OFFERED)])
@pytest.mark.parametrize("side", Side)
def test_nobody_reads_an_offer_that_its_sender_believes_unread(side: Side, status: Status) -> None:
    pair = at_status(status)
    read = read_packet(pair.copy(side), act(ZOE))
    assert read.refusal is None
    assert read.entries[-1].code == "referral.read"
    known = read.state or pair.copy(side)
    assert side is Side.SENDER or known.standing.read_at is not None
    assert side is Side.RECEIVER or read.state is None, "what the sender reads is its own"


@pytest.mark.parametrize("status", ENDED)
def test_what_may_not_be_opened_is_not_read(status: Status) -> None:
    pair = at_status(status)
    pair.deliver_all()
    assert read_packet(pair.receiver, act(ZOE)) == Ruling.refused(Refused.ACCESS_ENDED)
