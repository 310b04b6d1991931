"""The example partner system at work: a referral from offer to arrival against what a node says, and everything else.

A node's part is spoken by our own contracts and keys; the broker and real nodes are elsewhere.
"""

import json
import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples.partner_system import events
from examples.partner_system.desk import Desk
from examples.partner_system.happened import Happened
from examples.partner_system.keys import Kind
from examples.partner_system.lanes import State, Step
from examples.partner_system.outcomes import Confirmed, Later, Receipted, Rejected, Taken
from examples.partner_system.partners import Partner, Partners
from examples.partner_system.referral_file import ReferralFile
from examples.partner_system.refusal import Refused
from examples.partner_system.run import Journal
from examples.partner_system.store import Referral
from shared.contracts.heard import HEARD
from shared.contracts.ids import OrganisationId
from shared.sealing.keys import KeyPurpose
from shared.sealing.suites import KeyKind
from tests.support.day_centre import (
    ACCEPTED,
    CANARIES,
    EXAMPLES,
    HOUSE,
    Acquainted,
    Parcel,
    acquaint,
    offered,
    prepared,
    said,
)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Acquainted]:
    # Suite 2 is a hundred times faster; that both are the same is seen in test_partner_sealing.py.
    both = acquaint(tmp_path, Kind.X25519, KeyKind.X25519)
    yield both
    both.centre.store.close()


def state(two: Acquainted, referral: Referral) -> State:
    return two.centre.store.lanes(referral.id).standing().state


def codes(happened: list[Happened]) -> list[str]:
    return [str(one.codes.get("code", one.event)) for one in happened]


def sent(two: Acquainted, step: str) -> Any:  # noqa: ANN401 - one of many events
    """Return the newest event of a type that is on its way, as the house reads it."""
    return two.house.open(two.centre.outgoing(step))


def test_a_person_is_handed_over(two: Acquainted) -> None:
    house, referral = two.house, offered(two)
    assert codes(two.centre.take(house.seal(said(referral, "opened", 1, 1)))) == [Step.OPENED]
    asked = house.seal(said(referral, "asked", 2, 1, {"question": "Where is she now?"}))
    assert codes(two.centre.take(asked)) == [Step.ASKED, Step.ANSWERED]
    answered = sent(two, Step.ANSWERED)
    assert (answered.n, answered.seen, answered.data.answer) == (2, 2, CANARIES[2])
    assert state(two, referral) is State.OPENED
    accepted = house.seal(said(referral, "accepted", 3, 2, ACCEPTED))
    assert codes(two.centre.take(accepted)) == [Step.ACCEPTED, Step.DISCLOSED]
    disclosed = sent(two, Step.DISCLOSED)
    assert (disclosed.n, disclosed.seen) == (3, 3)
    assert disclosed.data.packet.identity.given_names == CANARIES[1]
    assert not two.centre.desk.has_ended(referral.id)
    assert codes(two.centre.take(house.seal(said(referral, "arrived", 4, 3)))) == [Step.ARRIVED]
    assert two.centre.desk.has_arrived(referral.id)
    assert two.centre.desk.has_ended(referral.id)
    closed = house.seal(said(referral, "closed", 5, 3, {"outcome": "got_help"}))
    assert codes(two.centre.take(closed)) == [Step.CLOSED]
    assert two.centre.desk.has_arrived(referral.id)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_can_be_handed_over(path: Path, two: Acquainted) -> None:
    referral = offered(two, ReferralFile.load(path))
    for parcel in (
        two.house.seal(said(referral, "asked", 1, 1, {"question": "?"})),
        two.house.seal(said(referral, "accepted", 2, 2, ACCEPTED)),
    ):
        two.centre.take(parcel)
    sizes = {made.step: len(made.envelope) for made in two.centre.desk.to_send() if made.referral}
    assert set(sizes) == {Step.ANSWERED, Step.DISCLOSED}
    assert max(sizes.values()) <= 16384
    assert sent(two, Step.ANSWERED).data.answer
    assert sent(two, Step.DISCLOSED).data.packet.identity


def test_what_was_taken_twice_gets_the_same_receipt_again(two: Acquainted) -> None:
    referral = offered(two)
    parcel = two.house.seal(said(referral, "opened", 1, 1))
    two.centre.take(parcel)
    receipt = two.centre.outgoing(events.RECEIPT_GIVEN)
    two.centre.desk.sent(receipt, Confirmed())
    assert receipt not in two.centre.desk.to_send()
    assert codes(two.centre.take(parcel)) == ["duplicate"]
    assert two.centre.outgoing(events.RECEIPT_GIVEN) == receipt
    assert [one.step for one in two.centre.store.lanes(referral.id).theirs] == [Step.OPENED]


def test_what_is_said_again_in_another_envelope_gets_a_receipt_and_changes_nothing(two: Acquainted) -> None:
    """Otherwise a node would say it for ever (docs/protocol/events.md, section 4)."""
    referral = offered(two)
    asked = said(referral, "asked", 1, 1, {"question": "Where is she now?"})
    two.centre.take(two.house.seal(asked))
    receipt = two.centre.outgoing(events.RECEIPT_GIVEN)
    two.centre.desk.sent(receipt, Confirmed())
    lanes, under_way = two.centre.store.lanes(referral.id), two.centre.desk.to_send()
    assert codes(two.centre.take(two.house.seal(asked))) == []
    another = two.centre.outgoing(events.RECEIPT_GIVEN)
    assert another.id != receipt.id
    assert two.centre.desk.to_send() == [*under_way, another]
    assert two.centre.store.lanes(referral.id) == lanes


ORDER = st.permutations([0, 1, 2, 3])
AGAIN = st.lists(st.integers(min_value=0, max_value=3), max_size=3)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=ORDER, again=AGAIN, killed=st.integers(min_value=0, max_value=3))
def test_any_order_any_repetition_and_any_kill_comes_to_the_same(
    order: list[int], again: list[int], killed: int, two: Acquainted
) -> None:
    file = prepared(str(uuid4()))
    referral = offered(two, file)
    house = two.house
    parcels: list[Parcel] = [
        house.seal(said(referral, "opened", 1, 1)),
        house.seal(said(referral, "asked", 2, 1, {"question": "?"})),
        house.seal(said(referral, "accepted", 3, 1, ACCEPTED)),
        house.seal(said(referral, "opened", 4, 1)),  # which the table does not have any more
    ]
    for count, index in enumerate([*order, *again]):
        two.centre.take(parcels[index])
        if count == killed:
            two.restart()
            two.centre.desk.offer(file, HOUSE)
    lanes = two.centre.store.lanes(referral.id)
    assert [one.step for one in lanes.theirs] == [Step.OPENED, Step.ASKED, Step.ACCEPTED]
    disclosed = [one for one in lanes.ours if one.step is Step.DISCLOSED]
    assert len(disclosed) == 1
    envelopes = [made for made in two.centre.desk.to_send() if made.referral == referral.id]
    assert [made.step for made in envelopes] == [one.step for one in lanes.ours[1:]]


def test_it_goes_on_where_it_was_killed(two: Acquainted) -> None:
    file = prepared()
    number, happened = two.centre.desk.offer(file, HOUSE)
    before = two.centre.outgoing(Step.OFFERED)
    two.restart()
    again, resumed = two.centre.desk.offer(file, HOUSE)
    assert (again, codes(happened), codes(resumed)) == (number, [Step.OFFERED], ["resumed"])
    assert two.centre.desk.to_send() == [before]
    # What came while nobody had the file at hand is answered as soon as somebody has.
    two.restart()
    referral = two.centre.store.referral(number)
    assert referral
    asked = two.house.seal(said(referral, "asked", 1, 1, {"question": "?"}))
    assert codes(two.centre.take(asked)) == [Step.ASKED, "staff-needed"]
    assert codes(two.centre.desk.offer(file, HOUSE)[1]) == ["resumed", Step.ANSWERED]


def test_a_question_more_than_was_prepared_needs_staff(two: Acquainted) -> None:
    referral = offered(two)
    for n, expected in ((1, Step.ANSWERED), (2, "staff-needed")):
        asked = two.house.seal(said(referral, "asked", n, n, {"question": "?"}))
        assert codes(two.centre.take(asked)) == [Step.ASKED, expected]
    assert state(two, referral) is State.ASKED


def test_a_missed_meeting_is_put_off_once(two: Acquainted) -> None:
    referral = offered(two)
    house = two.house
    two.centre.take(house.seal(said(referral, "accepted", 1, 1, ACCEPTED)))
    missed = house.seal(said(referral, "missed", 2, 2, {"reason": "did_not_come"}))
    assert codes(two.centre.take(missed)) == [Step.MISSED, Step.RESCHEDULED]
    assert sent(two, Step.RESCHEDULED).data.meeting.where == CANARIES[0]
    again = house.seal(said(referral, "missed", 3, 3, {"reason": "time_passed"}))
    assert codes(two.centre.take(again)) == [Step.MISSED]
    assert codes(two.centre.take(house.seal(said(referral, "arrived", 4, 3)))) == [Step.ARRIVED]


@pytest.mark.parametrize(
    ("step", "data", "end"),
    [
        ("declined", {"reason": "no_capacity", "by": "provider"}, State.DECLINED),
        ("declined", {"reason": "waiting_list", "by": "provider", "until": "2026-12-10"}, State.DECLINED),
        ("redirected", {"reason": "higher_level_of_care", "to": "havre-be"}, State.REDIRECTED),
    ],
)
def test_a_no_ends_it(step: str, data: dict[str, object], end: State, two: Acquainted) -> None:
    referral = offered(two)
    two.centre.take(two.house.seal(said(referral, step, 1, 1, data)))
    assert state(two, referral) is end
    assert two.centre.desk.has_ended(referral.id)
    assert not two.centre.desk.has_arrived(referral.id)
    assert two.centre.desk.withdraw(referral.id, "no_longer_needed") == []


def test_who_withdraws_while_the_other_accepts_wins_and_keeps_nothing(two: Acquainted) -> None:
    referral = offered(two)
    assert codes(two.centre.desk.withdraw(referral.id, "no_answer")) == [Step.WITHDRAWN]
    assert sent(two, Step.WITHDRAWN).data.reason == "no_answer"
    accepted = two.house.seal(said(referral, "accepted", 1, 1, ACCEPTED))
    happened = two.centre.take(accepted)
    assert [(one.event, one.codes.get("of")) for one in happened] == [
        (Step.ACCEPTED, None), ("superseded", Step.ACCEPTED),
    ]  # fmt: skip
    assert state(two, referral) is State.WITHDRAWN
    with sqlite3.connect(two.centre.folder.path / "state.db") as store:
        assert (accepted.raw,) not in store.execute("SELECT envelope FROM incoming").fetchall()


def test_who_withdraws_while_the_person_arrives_is_told_so(two: Acquainted) -> None:
    referral = offered(two)
    two.centre.take(two.house.seal(said(referral, "accepted", 1, 1, ACCEPTED)))
    two.centre.desk.withdraw(referral.id, "no_answer")
    happened = two.centre.take(two.house.seal(said(referral, "arrived", 2, 2)))
    assert [(one.event, one.codes.get("of")) for one in happened] == [
        (Step.ARRIVED, None), ("superseded", Step.WITHDRAWN),
    ]  # fmt: skip
    assert two.centre.desk.has_arrived(referral.id)


def test_what_a_receiver_may_not_say_is_refused_and_set_aside(two: Acquainted) -> None:
    referral, house = offered(two), two.house
    two.centre.take(house.seal(said(referral, "opened", 1, 1)))
    stranger = Referral(str(uuid4()), str(uuid4()), HOUSE, "unknown")
    other = Referral(referral.id, str(uuid4()), HOUSE, "other")
    cases = [
        ("referral-unknown", said(stranger, "opened", 1, 1)),
        ("conversation-differs", said(other, "asked", 2, 1, {"question": "?"})),
        ("not-said-by-this-side", said(referral, "withdrawn", 2, 1, {"reason": "unsafe"})),
        ("lane-forked", said(referral, "opened", 1, 1)),
        ("seen-ahead", said(referral, "asked", 2, 2, {"question": "?"})),
        ("seen-went-back", said(referral, "asked", 2, 0, {"question": "?"})),
        ("transition-not-in-table", said(referral, "arrived", 2, 1)),
        ("event-type-unknown", said(referral, "dreamt", 2, 1)),
        ("event-type-unknown", {**said(referral, "opened", 2, 1), "type": "referral.opened.v2"}),
        ("event-unreadable", said(referral, "asked", 2, 1)),
        ("event-unreadable", said(referral, "declined", 2, 1, {"reason": "other", "by": "provider"})),
    ]
    for code, event in cases:
        assert codes(two.centre.take(house.seal(event))) == [code]
    assert codes(two.centre.take(house.seal(said(referral, "opened", 2, 1), KeyPurpose.RECEIPT))) == [
        "key-wrong-purpose"
    ]
    receipt = two.house.receipt(two.centre.outgoing(events.RECEIPT_GIVEN), purpose=KeyPurpose.SIGNING)
    assert codes(two.centre.take(receipt)) == ["key-wrong-purpose"]
    assert [one.step for one in two.centre.store.lanes(referral.id).theirs] == [Step.OPENED]
    with sqlite3.connect(two.centre.folder.path / "state.db") as store:
        ((kept,),) = store.execute("SELECT count(*) FROM incoming WHERE refused IS NOT NULL AND envelope IS NOT NULL")
        assert kept == len(cases) + 2
        ((receipts,),) = store.execute("SELECT count(*) FROM outgoing WHERE step = 'receipt.given.v1'")
    assert receipts == 1 + len(cases) + 1  # the opened one, the refused ones, the receipt under the wrong key


def test_a_gap_in_the_sequence_is_said(two: Acquainted) -> None:
    referral = offered(two)
    assert codes(two.centre.take(two.house.seal(said(referral, "opened", 1, 1), skip=2))) == [
        "sequence-gap", Step.OPENED,
    ]  # fmt: skip


def test_an_offer_that_cannot_be_made_leaves_nothing(two: Acquainted) -> None:
    stated: dict[str, object] = {"reference": "r", "offer": {"kind": "adoption"}, "disclosure": {}}
    endless = {**stated, "offer": {"kind": "transfer", "terms": {"purposes": ["support"], "until": "some day"}}}
    cases = [
        ("kind-not-agreed", ReferralFile.stated(stated), HOUSE),
        ("organisation-unknown", prepared(), OrganisationId("refuge-be")),
        ("referral-file-malformed", ReferralFile.stated(endless), HOUSE),
    ]
    for code, file, to in cases:
        with pytest.raises(Refused) as refused:
            two.centre.desk.offer(file, to)
        assert refused.value.code == code
    assert two.centre.desk.to_send() == []
    assert two.centre.store.offered("r") is None


def known_as(
    two: Acquainted, *, since: datetime | None = None, until: datetime | None = None, hears: Collection[str] = HEARD
) -> None:
    """Let the centre know its partner by an agreement ``since`` and ``until`` then, and as one that ``hears`` this."""
    centre = two.centre
    keychain = centre.folder.keychain()
    known = centre.folder.partners(keychain, [two.house_keys], centre.store).known[HOUSE]
    [signed] = known.agreements
    agreement = replace(signed, valid_from=since or signed.valid_from, valid_until=until or signed.valid_until)
    partner = Partner((agreement,), replace(known.document, hears=tuple(hears)))
    centre.desk = Desk(keychain, Partners(keychain.organisation, {HOUSE: partner}), centre.store)


def test_after_the_end_of_the_agreement_what_is_under_way_is_concluded(two: Acquainted) -> None:
    first, second, third = (offered(two, prepared(name)) for name in ("first", "second", "third"))
    renewed_after = offered(two, prepared("fifth"))
    unproved = said(renewed_after, "accepted", 1, 1, ACCEPTED)
    accepted = said(first, "accepted", 1, 1, ACCEPTED)
    two.centre.desk.offer(prepared("unproved"), HOUSE)
    assert [made.step for made in two.centre.desk.to_send() if made.referral] == [Step.OFFERED]
    now = datetime.now(UTC)
    known_as(two, since=now, until=now)
    assert codes(two.centre.take(two.house.seal(unproved))) == [Step.ACCEPTED, "staff-needed"], "it was said before"
    known_as(two, until=now)
    late = two.house.seal(said(second, "asked", 1, 1, {"question": "?"}))
    assert codes(two.centre.take(late)) == ["agreement-expired"]
    declined = two.house.seal(said(second, "declined", 1, 1, {"reason": "no_capacity", "by": "provider"}))
    assert codes(two.centre.take(declined)) == [Step.DECLINED]
    assert codes(two.centre.take(two.house.seal(accepted))) == [Step.ACCEPTED, "staff-needed"]
    assert codes(two.centre.desk.withdraw(third.id, "no_longer_needed")) == [Step.WITHDRAWN]
    assert {made.step for made in two.centre.desk.to_send() if made.referral} == {Step.WITHDRAWN}
    with pytest.raises(Refused) as refused:
        two.centre.desk.offer(prepared("fourth"), HOUSE)
    assert refused.value.code == "agreement-expired"


def test_what_the_partner_does_not_hear_is_not_said(two: Acquainted) -> None:
    referral = offered(two, prepared("first"))
    for deaf_to in ("referral.offered.v1", "referral.consent-withdrawn.v1"):
        known_as(two, hears=set(HEARD) - {deaf_to})
        with pytest.raises(Refused) as refused:
            two.centre.desk.offer(prepared("second"), HOUSE)
        assert refused.value.code == "event-type-unheard"
    known_as(two, hears={"referral.offered.v1"})
    two.centre.desk.offer(prepared("first"), HOUSE)  # go on with it
    asked = two.house.seal(said(referral, "asked", 1, 1, {"question": "?"}))
    assert codes(two.centre.take(asked)) == [Step.ASKED, "event-type-unheard"]
    assert codes(two.centre.take(asked)) == ["duplicate"]
    assert two.centre.desk.to_send() == []  # no answer, and no receipt


def test_what_becomes_of_an_envelope_over_http(two: Acquainted) -> None:
    number, _ = two.centre.desk.offer(prepared(), HOUSE)
    (made,) = two.centre.desk.to_send()
    assert codes(two.centre.desk.sent(made, Later("key-unknown", 5))) == ["key-unknown"]
    assert codes(two.centre.desk.sent(made, Confirmed())) == []
    assert codes(two.centre.desk.sent(made, Taken())) == []
    assert codes(two.centre.desk.sent(made, Receipted("no note"))) == ["receipt-malformed"]
    assert two.centre.desk.to_send() == [made]
    assert not two.centre.desk.is_received(number)
    assert codes(two.centre.desk.sent(made, Receipted(two.house.note_for(made)))) == ["receipt.given.v1"]
    assert two.centre.desk.is_received(number)
    assert two.centre.desk.to_send() == []
    other, _ = two.centre.desk.offer(prepared("another"), HOUSE)
    (made,) = two.centre.desk.to_send()
    assert codes(two.centre.desk.sent(made, Rejected("agreement-none"))) == ["agreement-none"]
    assert two.centre.desk.has_ended(other)
    assert not two.centre.desk.has_arrived(other)


def test_no_personal_word_is_shown_or_stands_in_clear(two: Acquainted) -> None:
    lines: list[str] = []
    journal = Journal(lines.append)
    file = prepared()
    number, happened = two.centre.desk.offer(file, HOUSE)
    journal.tell(happened)
    referral = two.centre.store.referral(number)
    assert referral
    for parcel in (
        two.house.seal(said(referral, "asked", 1, 1, {"question": CANARIES[0]})),
        two.house.seal(said(referral, "dreamt", 2, 1, {"question": CANARIES[1]})),
        two.house.seal(said(referral, "declined", 2, 2, {"reason": "other", "by": "provider", "note": CANARIES[2]})),
    ):
        journal.tell(two.centre.take(parcel))
    assert len(lines) == 5
    shown = "".join(lines) + repr(file) + repr(happened) + repr(two.centre.folder.keychain())
    kept = b"".join(path.read_bytes() for path in two.centre.folder.path.iterdir())
    for canary in CANARIES:
        assert canary not in shown
        assert json.dumps(canary)[1:-1] not in shown
        assert canary.encode() not in kept
    for line in map(json.loads, lines):
        assert {"event", "elapsed_ms"} <= set(line)
