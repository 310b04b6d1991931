"""For every instant exactly one organisation answers for the person, and both stores name the same one."""

from datetime import timedelta

import pytest

from services.referral.domain.life import STATUSES, Side, Whereabouts
from services.referral.domain.responsibility import responsible
from shared.contracts.codes import ReferralKind, Status, Step
from tests.support.referral_pairs import at_status
from tests.support.referrals import NOON, RECEIVER, SENDER

MINUTE = timedelta(minutes=1)
HANDED_OVER = (ReferralKind.TRANSFER, ReferralKind.BROKERED)


@pytest.mark.parametrize("kind", ReferralKind)
@pytest.mark.parametrize("status", Status)
def test_only_a_confirmed_arrival_moves_responsibility(kind: ReferralKind, status: Status) -> None:
    pair = at_status(status, kind)
    pair.deliver_all()
    moved = kind in HANDED_OVER and STATUSES[status].person is Whereabouts.THERE
    for copy in (pair.sender, pair.receiver):
        assert responsible(copy) == (RECEIVER if moved else SENDER)


@pytest.mark.parametrize("kind", HANDED_OVER)
def test_while_the_confirmation_travels_both_answer_and_afterwards_one(kind: ReferralKind) -> None:
    pair = at_status(Status.DISCLOSED, kind)
    pair.say(Side.RECEIVER, Step.ARRIVED, NOON + MINUTE)
    assert (responsible(pair.sender), responsible(pair.receiver)) == (SENDER, RECEIVER)
    pair.deliver_all()
    for copy in (pair.sender, pair.receiver):
        assert responsible(copy) == RECEIVER


def test_consent_withdrawn_after_arrival_leaves_the_person_with_who_has_them() -> None:
    pair = at_status(Status.ARRIVED)
    pair.say(Side.SENDER, Step.CONSENT_WITHDRAWN)
    pair.deliver_all()
    assert {responsible(pair.sender), responsible(pair.receiver)} == {RECEIVER}
