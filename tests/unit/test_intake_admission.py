"""The rules of the door: who may speak to us now, and what is said."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.intake.domain.admission import (
    Admission,
    Arrival,
    Forward,
    Given,
    GiveReceipt,
    Period,
    SendReceiptAgain,
    Speaker,
    admit,
    admit_again,
    postdated,
    refuse,
)
from services.intake.domain.retention import KEEP_RECEIPTS
from shared.contracts.ids import KeyId, MessageId, OrganisationId
from shared.sealing.header import MAX_LIFETIME
from shared.sealing.timestamp import CLOCK_SKEW

US, THEM = OrganisationId("abri-be"), OrganisationId("ccem-fr")
NOW = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
DAY = timedelta(days=1)
ARRIVAL = Arrival(
    id=MessageId(UUID(int=1)),
    inbox=UUID(int=2),
    sender=THEM,
    recipient=US,
    sequence=7,
    sealed_at=NOW,
    expires=NOW + DAY,
    digest=b"\x01" * 32,
    envelope=b"sealed",
    key=KeyId("ab" * 16),
    speaker=Speaker.REFERRAL,
    key_holds=Period(NOW - DAY, NOW + DAY),
    heard_until=NOW + DAY,
    opens_until=NOW + DAY,
)
GIVEN = Given(UUID(int=3), NOW, "a note\n")


def again(arrival: Arrival, given: Given | None) -> Admission:
    return admit_again(arrival, given, US, NOW)


def admitted(arrival: Arrival, at: datetime = NOW) -> Admission:
    return admit(arrival, US, at)


def test_what_is_let_in_goes_on_as_it_came_and_gets_a_receipt() -> None:
    decision = admitted(ARRIVAL)
    assert decision.refusal is None
    assert decision.says == (Forward(ARRIVAL.inbox, b"sealed"), GiveReceipt(ARRIVAL, NOW))
    (entry,) = decision.entries
    assert (entry.code, entry.actor, entry.subject) == ("message.received", THEM, ARRIVAL.id)
    assert entry.detail == {"digest": "01" * 32, "key": "ab" * 16}


def test_a_receipt_is_never_answered_with_a_receipt() -> None:
    decision = admitted(replace(ARRIVAL, speaker=Speaker.INTAKE))
    assert decision.says == (Forward(ARRIVAL.inbox, b"sealed"),)
    assert [entry.code for entry in decision.entries] == ["receipt.received"]


@pytest.mark.parametrize(
    ("arrival", "code"),
    [
        (replace(ARRIVAL, recipient=OrganisationId("foyer-fr")), "envelope-not-for-us"),
        (replace(ARRIVAL, speaker=Speaker.NEITHER), "key-wrong-purpose"),
        (replace(ARRIVAL, key_holds=Period(NOW - DAY, NOW)), "key-expired"),
        (replace(ARRIVAL, key_holds=Period(NOW + DAY, NOW + 2 * DAY)), "key-expired"),
        (replace(ARRIVAL, heard_until=None), "agreement-none"),
        (replace(ARRIVAL, heard_until=NOW), "agreement-expired"),
        (replace(ARRIVAL, expires=NOW), "envelope-expired"),
        (replace(ARRIVAL, sealed_at=NOW + DAY + timedelta(seconds=1)), "envelope-misdated"),
        (replace(ARRIVAL, opens_until=None), "envelope-unknown-key"),
        (replace(ARRIVAL, opens_until=NOW), "envelope-unknown-key"),
    ],
)
def test_what_may_not_come_in_is_refused_and_written_down(arrival: Arrival, code: str) -> None:
    decision = admitted(arrival)
    assert decision.refusal is not None
    assert decision.refusal.code == code
    assert decision.says == ()
    (entry,) = decision.entries
    assert (entry.code, entry.detail["reason"]) == ("message.refused", code)


def test_a_clock_may_be_a_little_ahead_and_one_that_is_far_ahead_is_waited_for() -> None:
    little, far = (
        replace(ARRIVAL, sealed_at=NOW + CLOCK_SKEW + ahead) for ahead in (timedelta(), timedelta(seconds=1))
    )
    assert [postdated(each, US, NOW) for each in (little, far)] == [False, True]


def test_what_is_refused_in_any_case_does_not_wait_for_its_time() -> None:
    ahead = replace(ARRIVAL, sealed_at=NOW + DAY)
    assert postdated(ahead, US, NOW)
    farther = replace(ahead, sealed_at=NOW + DAY + timedelta(seconds=1))
    for wrong in (replace(ahead, key_holds=Period(NOW - DAY, NOW)), replace(ahead, heard_until=None), farther):
        assert not postdated(wrong, US, NOW)
        assert admitted(wrong).refusal is not None


def test_a_receipt_is_kept_for_longer_than_an_envelope_lives() -> None:
    assert KEEP_RECEIPTS > MAX_LIFETIME + CLOCK_SKEW


def test_what_is_refused_has_arrived_all_the_same() -> None:
    for late in (replace(ARRIVAL, expires=NOW), replace(ARRIVAL, heard_until=None)):
        numbered = admitted(late).numbered
        assert numbered is not None
        assert (numbered.sender, numbered.speaker, numbered.sequence) == (THEM, Speaker.REFERRAL, 7)


@pytest.mark.parametrize(
    "arrival",
    [
        replace(ARRIVAL, recipient=OrganisationId("foyer-fr")),
        replace(ARRIVAL, speaker=Speaker.NEITHER),
        replace(ARRIVAL, key_holds=Period(NOW - DAY, NOW)),
        replace(ARRIVAL, key_holds=Period(NOW + DAY, NOW + 2 * DAY)),
    ],
)
def test_a_number_counts_only_when_it_is_for_us_and_under_a_key_that_holds(arrival: Arrival) -> None:
    assert admitted(arrival).numbered is None
    assert refuse(arrival, US, "message-id-reused", NOW).numbered is None


def test_the_same_message_again_gets_the_same_receipt_and_nothing_else() -> None:
    assert again(ARRIVAL, GIVEN) == Admission(says=(SendReceiptAgain(THEM, ARRIVAL.id, GIVEN),))
    assert again(replace(ARRIVAL, answered=True), GIVEN) == Admission()
    receipt = replace(ARRIVAL, speaker=Speaker.INTAKE)
    assert again(receipt, None) == Admission(), "a receipt has none, whether it was let in or not"


def test_what_has_no_receipt_is_let_in_when_it_comes_again_once_nothing_speaks_against_it() -> None:
    assert again(ARRIVAL, None) == replace(admitted(ARRIVAL), numbered=None)
    for wrong in (replace(ARRIVAL, heard_until=None), replace(ARRIVAL, opens_until=None)):
        assert again(wrong, None) == Admission(), "that it was refused is kept already"


def test_a_message_id_that_is_used_twice_is_written_down() -> None:
    decision = refuse(ARRIVAL, US, "message-id-reused", NOW)
    assert decision.refusal is not None
    assert decision.entries[0].detail["reason"] == "message-id-reused"


def test_an_arrival_does_not_show_its_bytes() -> None:
    assert "sealed" not in repr(ARRIVAL).replace("sealed_at", "")
    assert "b'sealed" not in repr(admitted(ARRIVAL))
