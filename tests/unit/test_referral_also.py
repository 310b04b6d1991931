"""What follows for another leg of a case, and what a batch that has not seen it answers meanwhile."""

from itertools import product

import pytest

from services.referral.domain.handover import withdraw_elsewhere
from services.referral.domain.hearing import hear
from services.referral.domain.life import BEFORE_ARRIVAL, Side
from shared.contracts.codes import Status
from shared.contracts.exchange import EVENTS
from shared.messaging.decision import Early
from tests.support.referral_pairs import at_status
from tests.support.referrals import BY_STEP, RECEIVER, act, event, state


@pytest.mark.parametrize("status", sorted(BEFORE_ARRIVAL))
def test_what_changes_nothing_is_answered_alike_before_a_batch_has_seen_that_the_leg_was_withdrawn(
    status: Status,
) -> None:
    """What does change it is decided again, apart: so no message of a batch need see what another did to its leg."""
    leg, arrived = at_status(status).sender, at_status(Status.ARRIVED).sender
    [withdrawn] = [state(each) for each in withdraw_elsewhere(arrived, (leg,), act())]
    numbers, seen_by_then = range(1, len(leg.lane(Side.RECEIVER)) + 3), range(len(leg.lane(Side.SENDER)) + 1)
    tried = 0
    for step, n, seen in product(EVENTS, numbers, seen_by_then):
        came = event(leg, BY_STEP[step], n, seen)
        before = hear(leg, came, RECEIVER, act())
        if isinstance(before, Early) or before.state is None:
            tried += 1
            assert hear(withdrawn, came, RECEIVER, act()) == before
    assert tried
