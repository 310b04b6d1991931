"""What the example partner system says again, read by the house's own keys and contracts.

While it is valid it goes as it is; once it has expired it is sealed anew; and nothing goes that may not leave any more.
Partners copy this: what it gets wrong keeps a packet open at an organisation that should have lost it.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from examples.partner_system.desk import Desk
from examples.partner_system.events import RECEIPT_GIVEN
from examples.partner_system.keys import Kind
from examples.partner_system.lanes import Step
from examples.partner_system.store import Referral
from shared.contracts.event_data import AnsweredData, Meeting, MeetingPart
from shared.contracts.packet import NOTHING_DISCLOSED
from shared.sealing.suites import KeyKind
from tests.support.day_centre import ACCEPTED, CANARIES, HOUSE, Acquainted, acquaint, offered, prepared, said


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Acquainted]:
    both = acquaint(tmp_path, Kind.X25519, KeyKind.X25519)
    yield both
    both.centre.store.close()


def later(two: Acquainted, days: int) -> None:
    """Start the centre's software some days from now, without a file at hand."""
    centre, at = two.centre, datetime.now(UTC) + timedelta(days=days)
    keychain = centre.folder.keychain()
    partners = centre.folder.partners(keychain, [two.house_keys], centre.store)
    centre.desk = Desk(keychain, partners, centre.store, lambda: at)


def events_under_way(two: Acquainted, referral: Referral) -> dict[str, Any]:
    """Return what is on its way about a referral as the house reads it, by type: one envelope for each event."""
    made = [made for made in two.centre.desk.to_send() if made.referral == referral.id]
    read = {each.step: two.house.open(each) for each in made}
    assert len(read) == len(made)
    return read


def without_words(event: Any) -> Any:  # noqa: ANN401 - one of many events
    """Return an event that discloses as it must be when its packet may not leave any more."""
    return event.model_copy(update={"data": event.data.model_copy(update={"packet": NOTHING_DISCLOSED})})


def test_what_is_under_way_is_emptied_once_it_is_withdrawn(two: Acquainted) -> None:
    number, _ = two.centre.desk.offer(prepared(), HOUSE)
    referral = two.centre.store.referral(number)
    assert referral
    asked = said(referral, "asked", 1, 1, {"question": "?"})
    two.centre.take(two.house.seal(asked), two.house.seal(said(referral, "accepted", 2, 2, ACCEPTED)))
    before, envelopes = events_under_way(two, referral), set(two.centre.desk.to_send())
    assert before[Step.DISCLOSED].data.packet.identity.given_names == CANARIES[1]
    two.centre.desk.withdraw(referral.id, "no_answer")
    now = events_under_way(two, referral)
    withdrawn = now.pop(Step.WITHDRAWN)
    assert (withdrawn.n, withdrawn.data.reason) == (4, "no_answer")
    answered = before[Step.ANSWERED]
    assert now == {
        Step.OFFERED: without_words(before[Step.OFFERED]),
        Step.ANSWERED: answered.model_copy(update={"data": AnsweredData(answer="-")}),
        Step.DISCLOSED: without_words(before[Step.DISCLOSED]),
    }
    assert not [made for made in envelopes & set(two.centre.desk.to_send()) if made.referral]
    assert not two.centre.store.was_rejected(referral.id)


def test_a_meeting_that_an_arrival_has_overtaken_is_withheld(two: Acquainted) -> None:
    referral = offered(two)
    two.centre.take(two.house.seal(said(referral, "accepted", 1, 1, ACCEPTED)))
    two.centre.take(two.house.seal(said(referral, "missed", 2, 2, {"reason": "did_not_come"})))
    two.centre.take(two.house.seal(said(referral, "arrived", 3, 2)))
    meeting = events_under_way(two, referral)[Step.RESCHEDULED].data.meeting
    assert meeting == Meeting(withheld=frozenset(MeetingPart))


def test_what_has_expired_is_sealed_anew_and_says_the_same(two: Acquainted) -> None:
    file = prepared()
    number, _ = two.centre.desk.offer(file, HOUSE)
    referral = two.centre.store.referral(number)
    assert referral
    two.centre.take(two.house.seal(said(referral, "asked", 1, 1, {"question": "?"})))
    before = events_under_way(two, referral)
    later(two, days=8)
    assert events_under_way(two, referral) == {}, "its words are in its file alone"
    two.centre.desk.offer(file, HOUSE)
    now = two.centre.desk.to_send()
    assert events_under_way(two, referral) == before
    assert two.centre.desk.to_send() == now, "and the same bytes go while they have not expired"


def test_a_withdrawal_is_said_until_it_is_proved_and_empties_what_it_follows(two: Acquainted) -> None:
    referral = offered(two)
    two.centre.take(two.house.seal(said(referral, "accepted", 1, 1, ACCEPTED)))
    two.centre.desk.withdraw(referral.id, "no_answer")
    before = events_under_way(two, referral)
    later(two, days=8)
    assert events_under_way(two, referral) == before
    assert set(before) == {Step.DISCLOSED, Step.WITHDRAWN}


def test_what_consent_no_longer_covers_is_emptied(two: Acquainted) -> None:
    file = replace(prepared(), consent_days=2)
    number, _ = two.centre.desk.offer(file, HOUSE)
    referral = two.centre.store.referral(number)
    assert referral
    before = events_under_way(two, referral)
    later(two, days=1)
    assert events_under_way(two, referral) == before
    later(two, days=3)
    two.centre.desk.offer(file, HOUSE)
    assert events_under_way(two, referral) == {Step.OFFERED: without_words(before[Step.OFFERED])}


def test_what_has_expired_waits_for_an_agreement(two: Acquainted) -> None:
    file = replace(prepared(), consent_days=60)
    number, _ = two.centre.desk.offer(file, HOUSE)
    made = two.centre.outgoing(Step.OFFERED)
    later(two, days=31)
    two.centre.desk.offer(file, HOUSE)
    assert two.centre.desk.to_send() == []
    assert two.centre.store.unsettled() == [made], "nothing was sealed that cannot leave"
    two.centre.desk.withdraw(number, "no_longer_needed")
    assert {made.step for made in two.centre.desk.to_send()} == {Step.OFFERED, Step.WITHDRAWN}


def test_the_receipt_for_any_envelope_of_an_event_proves_it(two: Acquainted) -> None:
    number, _ = two.centre.desk.offer(prepared(), HOUSE)
    first = two.centre.outgoing(Step.OFFERED)
    two.centre.desk.withdraw(number, "no_answer")
    second = two.centre.outgoing(Step.OFFERED)
    assert second.id != first.id
    two.centre.take(two.house.receipt(first))
    assert two.centre.desk.is_received(number)
    assert [made.step for made in two.centre.desk.to_send()] == [Step.WITHDRAWN]
    assert not two.centre.store.was_rejected(number)
    assert [one.event for one in two.centre.take(two.house.receipt(second))] == [RECEIPT_GIVEN]
