"""An event of a receiver means the same to the example partner system, our contracts and the published schemas."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from examples.partner_system import events
from examples.partner_system.lanes import SENDERS, Step
from examples.partner_system.refusal import Refused
from shared.contracts.exchange import EventUnreadable, decode

SCHEMAS = Path(__file__).parents[2] / "docs" / "protocol" / "schemas"
EVENT = {
    "type": "referral.opened.v1",
    "id": str(UUID("0d9c7b58-9a5c-4f43-8f0e-1b9f5b6d7a01")),
    "at": "2026-11-24T11:02:10Z",
    "conversation": "c0b1f3a4-98a5-4f4e-8f7d-0d1d6c9b2a10",
    "referral": "4f7a91c2-6b1f-4a0e-9a55-2f1c7be0d3e4",
    "n": 1,
    "seen": 1,
    "data": {},
}
DATA: list[tuple[str, dict[str, object]]] = [
    ("opened", {}),
    ("opened", {"note": "more"}),
    ("asked", {"question": "?"}),
    ("asked", {"question": ""}),
    ("asked", {"question": "x" * 4000}),
    ("asked", {"question": "x" * 4001}),
    ("asked", {"question": "two\nlines\twith a tab"}),
    ("asked", {"question": "a bell \a"}),
    ("asked", {}),
    ("accepted", {"meeting": {"withheld": ["when", "where", "who"]}}),
    ("accepted", {"meeting": {"withheld": ["when", "where"]}}),
    ("accepted", {"meeting": {"who": "Zoë", "withheld": ["when", "where", "who"]}}),
    ("accepted", {"meeting": {"who": "Zoë", "where": "ici\nlà", "when": "2026-11-25T14:00:00+01:00", "bring": None}}),
    ("accepted", {"meeting": {"who": "Zoë\nLéa", "withheld": ["when", "where"]}}),
    ("accepted", {"meeting": {"who": "Zoë", "where": "ici", "when": "2026-11-25T14:00:00"}}),
    ("accepted", {"meeting": {"withheld": ["when", "where", "who"]}, "expected": "2026-11-25T14:30:00+01:00"}),
    ("accepted", {"meeting": {"withheld": ["when", "where", "who"]}, "expected": "soon"}),
    ("declined", {"reason": "no_capacity", "by": "provider"}),
    ("declined", {"reason": "no_capacity", "by": "provider", "until": "2026-12-10"}),
    ("declined", {"reason": "waiting_list", "by": "provider"}),
    ("declined", {"reason": "waiting_list", "by": "provider", "until": "2026-12-10"}),
    ("declined", {"reason": "waiting_list", "by": "provider", "until": "2026-13-10"}),
    ("declined", {"reason": "person_declined", "by": "provider"}),
    ("declined", {"reason": "person_declined", "by": "person"}),
    ("declined", {"reason": "other", "by": "provider"}),
    ("declined", {"reason": "other", "by": "provider", "note": "Told by telephone."}),
    ("declined", {"reason": "full", "by": "provider"}),
    ("redirected", {"reason": "out_of_area", "to": "havre-be"}),
    ("redirected", {"reason": "out_of_area", "to": "havre"}),
    ("redirected", {"reason": "out_of_area", "name": "Le Havre-Exemple"}),
    ("redirected", {"reason": "out_of_area", "to": "havre-be", "name": "Le Havre-Exemple"}),
    ("redirected", {"reason": "out_of_area"}),
    ("arrived", {}),
    ("missed", {"reason": "time_passed"}),
    ("missed", {"reason": "never"}),
    ("progressed", {"code": "settled", "note": None}),
    ("progressed", {"code": "other", "note": 1}),
    ("closed", {"outcome": "got_help"}),
    ("closed", {"outcome": "other"}),
    ("closed", {"outcome": "other", "note": "Moved abroad."}),
]
FRAMES: list[dict[str, object]] = [
    {"n": 0}, {"n": 1000}, {"n": 1001}, {"n": 1.5}, {"seen": -1}, {"seen": 1001}, {"seen": None}, {"seen": 1000},
    {"at": "2026-11-24T11:02:10"}, {"at": "2026-11-24T12:02:10.123456+01:00"}, {"at": "yesterday"},
    {"id": "0d9c7b58"}, {"id": None}, {"referral": 7}, {"traceparent": None}, {"traceparent": "00-0-0-00"},
    {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}, {"more": 1}, {"data": []}, {"data": None},
    {"type": "referral.closed.v2"},
]  # fmt: skip


def ours(event: dict[str, Any] | bytes) -> str:
    """Return what our own contracts say of an event: a code, or that they read it."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    try:
        decode(body)
    except EventUnreadable as unreadable:
        return unreadable.code
    return "read"


def theirs(event: dict[str, Any] | bytes) -> str:
    """Return what the example says of it."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    try:
        events.read(body)
    except Refused as refused:
        return refused.code
    return "read"


@pytest.mark.parametrize(("step", "data"), DATA)
def test_the_two_read_the_same_data(step: str, data: dict[str, object]) -> None:
    event = {**EVENT, "type": f"referral.{step}.v1", "data": data}
    assert theirs(event) == ours(event)


@pytest.mark.parametrize("change", FRAMES, ids=json.dumps)
def test_the_two_read_the_same_frame(change: dict[str, object]) -> None:
    assert theirs(EVENT | change) == ours(EVENT | change)


# The library checks no times without another library; the test above does.
CHECKED = [change for change in FRAMES if "at" not in change] + [{"n": True}, {"n": "1"}, {"seen": "0"}]


@pytest.mark.parametrize("change", CHECKED, ids=json.dumps)
def test_a_frame_is_what_its_schema_says(change: dict[str, object]) -> None:
    event = EVENT | change
    schema = SCHEMAS / f"{event['type']}.json"
    valid = schema.exists() and Draft202012Validator(
        json.loads(schema.read_text()), format_checker=Draft202012Validator.FORMAT_CHECKER
    ).is_valid(event)
    assert (theirs(event) == "read") == valid


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"[" * 100_000])
def test_the_two_refuse_what_is_no_event(body: bytes) -> None:
    assert theirs(body) == ours(body) != "read"


def test_every_event_of_a_receiver_is_known() -> None:
    assert {f"referral.{step}.v1" for step, _ in DATA} == set(Step) - SENDERS


@settings(max_examples=200)
@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_noise_at_the_reader_is_refused_with_a_code(body: bytes) -> None:
    assert theirs(body) in ("event-unreadable", "event-type-unknown")
