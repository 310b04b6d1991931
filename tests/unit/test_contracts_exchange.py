"""What stands in an envelope is read strictly, written back the same, and refused without a word of what it said."""

import json
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers
from pydantic import ValidationError

from shared.contracts.codes import Category, DeclinedBy, DeclineReason, Outcome
from shared.contracts.event import Event, EventId, encode, type_of
from shared.contracts.event_data import (
    AnsweredData,
    ClosedData,
    DeclinedData,
    DisclosedData,
    Meeting,
    MeetingPart,
    OfferedData,
    OpenedData,
    RedirectedData,
)
from shared.contracts.exchange import EVENTS, EventUnreadable, ReferralEvent, ReferralOpened, by_step, decode
from shared.contracts.heard import FIRST, HEARD, LATER
from shared.contracts.ids import MessageId, OrganisationId
from shared.contracts.packet import IDENTIFYING, Identity, Packet, SafeChannel, SafeContact
from shared.contracts.packet_codes import Channel
from shared.contracts.receipt import ReceiptGiven, ReceiptGivenData
from tests.support.referrals import BY_STEP, CANARY, DATA, FRESH, NOON, event, offered, only, packet, state

REFERRAL = state(offered())
SAID = [event(REFERRAL, data, n=1, seen=0) for data in DATA]


@pytest.mark.parametrize("said", SAID, ids=lambda said: said.type)
def test_an_event_is_read_as_it_was_written(said: ReferralEvent) -> None:
    body = encode(said)
    read = decode(body)
    assert read == said
    assert decode(encode(read)) == said
    assert json.loads(body)["type"] == f"referral.{said.step.value}.v1"
    assert b"null" not in body


def test_a_receipt_is_an_event_of_its_own() -> None:
    given_receipt = ReceiptGiven(
        id=EventId(next(FRESH)), at=NOON, data=ReceiptGivenData(message=MessageId(next(FRESH)), note="a\nnote\n")
    )
    assert decode(encode(given_receipt)) == given_receipt


def test_this_release_hears_what_it_reads() -> None:
    assert set(HEARD) == {type_of(type(said)) for said in SAID} | {type_of(ReceiptGiven)}
    assert list(HEARD) == sorted(HEARD)


def test_the_first_version_is_closed() -> None:
    """A type that comes later and stood here would be kept for a partner that may never hear it: it goes to LATER."""
    assert (len(FIRST), {each.rpartition(".")[2] for each in FIRST}) == (16, {"v1"})
    assert set(FIRST).isdisjoint(LATER)


def refused(body: bytes) -> str:
    """Return the code under which ``body`` is refused, having looked for what it says in all that is shown."""
    with pytest.raises(EventUnreadable) as caught:
        decode(body)
    shown = repr(caught.value) + "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value.code


def changed(said: ReferralEvent, **changes: Any) -> bytes:  # noqa: ANN401 - as JSON has it
    """Return the event with some of its members changed."""
    return json.dumps({**json.loads(encode(said)), **changes}).encode()


OFFER = SAID[0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        CANARY.encode(),
        b"\xff\xfe",
        b"[" * 100_000,
        encode(OFFER)[:-1],
        changed(OFFER, n=0),
        changed(OFFER, n=1001),
        changed(OFFER, n=1e400),
        changed(OFFER, seen=-1),
        changed(OFFER, at="2026-11-24T12:00:00"),
        changed(OFFER, at=CANARY),
        changed(OFFER, at="1999-12-31T23:59:59.999999Z"),
        changed(OFFER, at="2100-01-01T00:00:00Z"),
        changed(OFFER, at="2100-01-01T01:00:00-00:01"),
        changed(OFFER, at="0001-01-01T00:00:00+14:00"),
        changed(OFFER, at="9999-12-31T23:59:59-14:00"),
        changed(OFFER, id=CANARY),
        changed(OFFER, referral=None),
        changed(OFFER, traceparent=CANARY),
        changed(OFFER, data={CANARY: CANARY}),
        changed(OFFER, extra=CANARY),
    ],
)
def test_what_the_contract_does_not_allow_is_unreadable(body: bytes) -> None:
    assert refused(body) == "event-unreadable"


@pytest.mark.parametrize("field", ["expected", "meeting.when", "terms.until"])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_no_field_takes_a_time_that_no_clock_of_ours_will_show(field: str, moment: str) -> None:
    first, *rest = field.split(".")
    said = next(each for each in SAID if first in type(each.data).model_fields)
    data = json.loads(encode(said))["data"]
    data[first] = {**data[first], rest[0]: moment} if rest else moment
    assert refused(changed(said, data=data)) == "event-unreadable"


def test_a_time_is_kept_in_utc() -> None:
    read = decode(changed(OFFER, at="2026-11-24T13:30:00+05:45"))
    assert read.at.tzinfo is UTC
    assert read.at == datetime(2026, 11, 24, 7, 45, tzinfo=UTC)


@pytest.mark.parametrize("name", ["referral.offered.v2", "referral.received.v1", CANARY, ""])
def test_a_type_that_is_not_known_has_a_code_of_its_own(name: str) -> None:
    assert refused(changed(OFFER, type=name)) == "event-type-unknown"


@given(body=binary(max_size=64), place=integers(0, 10_000), bit=integers(0, 7))
def test_no_bytes_do_anything_but_read_or_be_refused(body: bytes, place: int, bit: int) -> None:
    good = bytearray(encode(OFFER))
    good[place % len(good)] ^= 1 << bit
    for candidate in (body, bytes(good)):
        with suppress(EventUnreadable):
            assert isinstance(decode(candidate), Event)


@pytest.mark.parametrize("category", sorted(IDENTIFYING))
def test_before_acceptance_nothing_identifies_without_a_reason(category: Category) -> None:
    parts = Packet.model_validate(dict(only(Category.SUMMARY, category)))
    offer = dict(BY_STEP[OFFER.step])
    for model, fields in ((OfferedData, offer), (AnsweredData, {"answer": CANARY})):
        with pytest.raises(ValidationError):
            model.model_validate({**fields, "packet": parts})
        assert model.model_validate({**fields, "packet": parts, "identity_reason": CANARY})


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (Meeting, {"when": NOON, "where": CANARY}),
        (Meeting, {"when": NOON, "where": CANARY, "who": CANARY, "withheld": {MeetingPart.WHO}}),
        (DeclinedData, {"reason": DeclineReason.OTHER, "by": DeclinedBy.PROVIDER}),
        (DeclinedData, {"reason": DeclineReason.WAITING_LIST, "by": DeclinedBy.PROVIDER}),
        (DeclinedData, {"reason": DeclineReason.NO_CAPACITY, "by": DeclinedBy.PROVIDER, "until": "2027-01-01"}),
        (DeclinedData, {"reason": DeclineReason.PERSON_DECLINED, "by": DeclinedBy.PROVIDER}),
        (RedirectedData, {"reason": DeclineReason.OUT_OF_AREA}),
        (RedirectedData, {"reason": DeclineReason.OUT_OF_AREA, "to": OrganisationId("abri-be"), "name": CANARY}),
        (ClosedData, {"outcome": Outcome.OTHER}),
        (DisclosedData, {"packet": Packet(), "terms": {"purposes": ["support"]}}),
        (DisclosedData, {"packet": packet(), "terms": {"purposes": []}}),
        (OfferedData, {**dict(BY_STEP[OFFER.step]), "packet": Packet()}),
        (OfferedData, {**dict(BY_STEP[OFFER.step]), "packet": only(Category.HEALTH)}),
        (Identity, {"given_names": CANARY, "born": "1990-01-01"}),
        (SafeContact, {}),
        (SafeContact, {"do_not_contact": True, "channels": [{"channel": "somebody", "through": CANARY}]}),
        (SafeChannel, {"channel": Channel.CALL}),
        (SafeChannel, {"channel": Channel.EMAIL}),
        (SafeChannel, {"channel": Channel.IN_PERSON}),
    ],
)
def test_what_contradicts_itself_cannot_be_said(model: type[Any], fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(fields)


def test_a_meeting_says_each_part_or_that_it_keeps_it_back() -> None:
    assert Meeting(when=NOON, who=CANARY, withheld=frozenset({MeetingPart.WHERE})).where is None
    assert Meeting(withheld=frozenset(MeetingPart)).when is None


def test_two_events_of_one_step_end_the_import() -> None:
    class OpenedOtherwise(ReferralOpened):
        """Would take the place of the first one without a word."""

    with pytest.raises(TypeError, match=r"^ReferralOpened and OpenedOtherwise have the same step, opened$"):
        by_step([*EVENTS.values(), OpenedOtherwise])


def test_every_event_has_an_example_here() -> None:
    assert [said.step for said in SAID] == list(EVENTS)


@pytest.mark.parametrize("n", ['"1"', "true", "1.0"])
def test_a_number_is_a_number_and_nothing_that_looks_like_one(n: str) -> None:
    said = encode(event(state(offered()), OpenedData(), 1, 1)).decode()
    assert '"n":1,' in said
    assert refused(said.replace('"n":1,', f'"n":{n},').encode()) == "event-unreadable"
