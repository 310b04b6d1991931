"""What our own people are told names a referral by its alias, and what the partner is told never does."""

import pytest

from services.referral.domain.clocks import DECISION_IN, FIRST_READ_IN
from services.referral.domain.expiring import expire
from services.referral.domain.life import SAID_BY, Side
from services.referral.domain.referral import Referral
from services.referral.domain.ruling import Ruling, Tell
from shared.contracts.codes import Status, Step
from shared.contracts.event import encode
from shared.contracts.facts import Fact
from tests.support.referral_pairs import PATHS, Pair, at_status
from tests.support.referrals import NOON, act, offered, state


def test_each_side_has_an_alias_of_its_own_for_the_life_of_a_referral() -> None:
    pair = at_status(Status.CLOSED)
    aliases = {pair.sender.alias, pair.receiver.alias}
    assert len(aliases) == 2
    assert not aliases & {pair.sender.id, pair.sender.conversation, pair.sender.case, pair.receiver.case}
    assert Pair.of(offered()).sender.alias not in aliases


@pytest.mark.parametrize("status", [status for status in PATHS if set(PATHS[status]) - {Step.RECEIVED}])
def test_facts_have_the_alias_and_events_have_not(status: Status) -> None:
    pair = Pair.of(offered())
    aliases = {side: pair.copy(side).alias for side in Side}
    for step in PATHS[status]:
        side = SAID_BY[step]
        said = pair.say(side, step)
        heard = pair.deliver_all()
        for ruling, by in [(said, side), *((each, side.other) for each in heard)]:
            assert {each.subject for each in ruling.says if isinstance(each, Fact)} <= {aliases[by]}
        (told,) = said.tells
        assert not [alias for alias in aliases.values() if str(alias).encode() in encode(told.event)]
        assert {side: pair.copy(side).alias for side in Side} == aliases


def test_a_clock_tells_of_the_alias() -> None:
    referral = state(offered())
    late = act(at=NOON + DECISION_IN[referral.urgency] + FIRST_READ_IN[referral.urgency])
    assert {fact.subject for fact in facts(expire(referral, late))} == {referral.alias}


def test_the_audit_log_joins_the_two_once_at_the_offer() -> None:
    offer = offered()
    (line,) = offer.entries
    referral = state(offer)
    assert (line.subject, line.detail["alias"]) == (referral.id, str(referral.alias))


def facts(ruling: Ruling[Referral]) -> list[Fact]:
    return [said for said in ruling.says if not isinstance(said, Tell)]
