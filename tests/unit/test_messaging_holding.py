"""How long a message is held, and what is kept of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis.strategies import binary, integers

from shared.contracts.entries import Entry, EntryCode
from shared.messaging.decision import Early
from shared.messaging.delivery import LARGEST_KEPT, Delivery, Later, Left, Unreadable, Unsigned, Waited
from shared.messaging.held import Hold
from shared.messaging.holding import LONGEST_PAUSE_SECONDS, MOST_NAMES, PATIENCE, hold, together
from shared.messaging.room import Room, within
from shared.sealing.envelope import SIZES

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def waited(since: timedelta, attempts: int = 3) -> Delivery:
    """Return a delivery that has been held since so long."""
    return Delivery(b"{}", {}, "node.in", Waited(uuid4(), attempts, NOW - since, admitted=True))


def test_what_cannot_be_read_waits_for_a_person() -> None:
    held = hold("door", Delivery(b"{}", {}, "node.in"), Unreadable("envelope-altered"), NOW)
    assert (held.due_at, held.reason, held.attempts, held.first_at, held.admitted) == (
        None,
        "envelope-altered",
        1,
        NOW,
        False,
    )


@given(integers(min_value=0, max_value=1_000))
def test_each_pause_is_longer_and_none_is_too_long(attempts: int) -> None:
    held = hold("door", waited(timedelta(hours=1), attempts), Later("key-unknown"), NOW)
    assert held.due_at is not None
    longest = min(2.0**attempts, LONGEST_PAUSE_SECONDS)
    assert longest / 2 <= (held.due_at - NOW).total_seconds() <= longest
    assert held.attempts == attempts + 1


def test_after_a_day_a_person_must_look_at_it_unless_what_it_waits_for_is_ours() -> None:
    subject = uuid4()
    early = hold("desk", waited(PATIENCE), Later("early"), NOW, early=Early(subject, 7))
    late = hold("desk", waited(PATIENCE + timedelta(seconds=1)), Later("early"), NOW, early=Early(subject, 7))
    ours = hold("desk", waited(PATIENCE * 400), Later("keyring-key-missing", ours=True), NOW)
    assert early.due_at is not None
    assert (early.subject, early.turn) == (subject, 7)
    assert (late.due_at, late.subject, late.turn, late.admitted) == (None, subject, 7, True)
    assert ours.due_at is not None


@given(binary(max_size=64), binary(max_size=64))
def test_a_message_is_named_by_its_bytes_and_where_it_came_from(one: bytes, other: bytes) -> None:
    def name(body: bytes, source: str = "node.in", consumer: str = "door") -> object:
        return hold(consumer, Delivery(body, {}, source), Unreadable("x"), NOW).id

    assert (name(one) == name(other)) == (one == other)
    assert len({name(one), name(one, "http"), name(one, consumer="desk")}) == 3


def test_of_what_waits_for_one_turn_each_who_says_it_has_one() -> None:
    subject = uuid4()

    def place(delivery: Delivery, turn: int = 3) -> UUID:
        return hold("desk", delivery, Later("early"), NOW, early=Early(subject, turn)).id

    again = Delivery(b"1", {}, "node.in", Waited(uuid4(), 3, NOW, admitted=True), "ccem-fr")
    theirs = [Delivery(body, {}, "node.in", origin="ccem-fr") for body in (b"1", b"2")]
    assert len({place(again), *map(place, theirs)}) == 1
    other = Delivery(b"1", {}, "node.in", origin="foyer-fr")
    assert len({place(again), place(again, 4), place(other)}) == 3


def test_what_is_too_large_to_be_read_is_kept_as_size_and_digest() -> None:
    small, large = Delivery(bytes(LARGEST_KEPT), {}, "q"), Delivery(bytes(LARGEST_KEPT + 1), {"ce-id": "1"}, "q")
    assert small.without_excess() is small
    assert SIZES[-1] == LARGEST_KEPT, "whatever may be an envelope is kept whole"
    kept = large.without_excess()
    assert (kept.body, kept.headers, kept.left) == (b"", {"ce-id": "1"}, Left(LARGEST_KEPT + 1, large.digest()))
    assert kept.digest() == large.digest()


def rubbish(body: bytes, headers: dict[str, str] | None = None, *, origin: str = "from.ccem-fr") -> Delivery:
    """Return what anybody may have sent."""
    return Delivery(body, headers or {}, "to.abri-be", origin=origin)


def test_of_what_nobody_signed_nothing_is_kept_that_its_sender_chose() -> None:
    headers = {"ce-id": "Canary", "CANARY NAME": "x", "c" * 41: "x", **{f"x-{n}": "Canary" for n in range(30)}}
    kept = hold("door", rubbish(b"Canary", headers), Unsigned("envelope-malformed"), NOW)
    assert (kept.counted, kept.due_at, kept.subject, kept.admitted) == (True, None, None, False)
    assert (kept.delivery.body, kept.delivery.left) == (b"", Left(6, sha256(b"Canary").digest()))
    assert len(kept.delivery.headers) == MOST_NAMES
    assert set(kept.delivery.headers) < set(headers)
    assert set(kept.delivery.headers.values()) == {""}
    assert "anary" not in str(sorted(kept.delivery.headers.items())).lower()


def test_what_nobody_signed_is_one_thing_for_each_who_brought_it_and_each_reason() -> None:
    def named(delivery: Delivery, why: str = "envelope-altered") -> Hold:
        return hold("door", delivery, Unsigned(why), NOW)

    again = Delivery(b"3", {}, "to.abri-be", Waited(uuid4(), 3, NOW, admitted=False), "from.ccem-fr")
    same = [named(rubbish(b"1")), named(rubbish(b"2", {"ce-id": "2"})), named(again)]
    others = [named(rubbish(b"1"), "envelope-unsigned"), named(rubbish(b"1", origin="from.foyer-fr"))]
    assert len({each.id for each in same}) == 1
    assert len({each.id for each in [*same, *others]}) == 3
    one, other, third = together([*same, *others])
    assert (one.count, other.count, third.count) == (3, 1, 1)
    assert one.delivery.digest() == sha256(b"3").digest()


def test_what_is_kept_is_written_down_and_what_is_counted_when_somebody_is_told() -> None:
    entry = Entry(EntryCode.MESSAGE_REFUSED, "ccem-fr", uuid4(), NOW, {"reason": "envelope-expired"})
    whole = hold("door", rubbish(b"1"), Unreadable("envelope-expired"), NOW, entries=(entry,))
    (one_more,) = within("door", [whole], {Room(whole.delivery.origin, waits=False): 2}, lambda _: 2)
    assert whole.lines() == (entry,)
    assert replace(one_more, told=False).lines() == ()
    (line,) = replace(one_more, total=7).lines()
    assert line == entry._replace(detail={"reason": "envelope-expired", "count": "7"})


def test_of_one_origin_no_more_is_kept_whole_than_there_is_room_for() -> None:
    def signed(body: bytes, origin: str) -> Hold:
        return hold("door", rubbish(body, origin=origin), Unreadable("envelope-expired"), NOW)

    given = [signed(b"1", "full"), signed(b"1", "new"), signed(b"2", "new"), signed(b"3", "new")]
    there = {Room("full", waits=False): 2, Room("new", waits=True): 2, Room("else", waits=False): 7}
    found = list(within("door", given, there, lambda _: 2))
    assert [each.counted for each in found] == [True, False, False, True]
    assert found[1:3] == [replace(each, bounded=True) for each in given[1:3]]
    assert found[3].delivery.body == b""


def test_what_waits_has_a_room_of_its_own_and_what_the_inbox_has_taken_in_is_never_counted() -> None:
    def early(body: bytes, *, admitted: bool = False) -> Hold:
        return hold("door", rubbish(body, origin="full"), Later("key-unknown"), NOW, admitted=admitted)

    given = [early(b"1"), early(b"2"), early(b"3", admitted=True), early(b"4")]
    there = {Room("full", waits=False): 9, Room("full", waits=True): 1}
    found = list(within("door", given, there, lambda _: 2))
    assert [each.counted for each in found] == [False, True, False, True]
    assert [each.due_at is None for each in found] == [False, True, False, True]
    assert list(within("desk", given, there, lambda hold: 2 if hold.refused else None)) == given


@pytest.mark.parametrize(
    ("why", "waiting", "refused"),
    [
        (Unreadable("envelope-expired"), None, True),
        (Unreadable("decision-failed"), None, False),
        (Unreadable("delivery-limit"), None, False),
        (Later("agreement-none"), None, False),
        (Later("agreement-none"), PATIENCE * 2, False),
        (Later("database-busy"), PATIENCE * 2, False),
    ],
)
def test_what_a_fault_of_ours_or_a_long_wait_has_parked_is_not_refused(
    why: Unreadable | Later, waiting: timedelta | None, *, refused: bool
) -> None:
    delivery = waited(waiting) if waiting else rubbish(b"1")
    assert hold("desk", delivery, why, NOW).refused is refused


def test_what_no_rule_has_refused_takes_no_room_of_what_one_has() -> None:
    def parked(number: int, code: str) -> Hold:
        return hold("desk", rubbish(b"%d" % number, origin="full"), Unreadable(code), NOW, admitted=True)

    failed = [parked(number, "decision-failed") for number in range(8)]
    refused = [parked(number, "event-unreadable") for number in range(8, 12)]
    found = list(within("desk", [*failed, *refused], {Room("full", waits=False): 3}, lambda _: 5))
    assert found[:8] == failed
    assert [each.counted for each in found[8:]] == [False, False, True, True]
