"""How long a message is held, and what is kept of it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis.strategies import binary, integers

from shared.messaging.delivery import LARGEST_KEPT, Delivery, Later, Unreadable, Waited
from shared.messaging.holding import LONGEST_PAUSE_SECONDS, PATIENCE, hold
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
    early = hold("desk", waited(PATIENCE), Later("early"), NOW, subject=subject)
    late = hold("desk", waited(PATIENCE + timedelta(seconds=1)), Later("early"), NOW, subject=subject)
    ours = hold("desk", waited(PATIENCE * 400), Later("keyring-key-missing", ours=True), NOW)
    assert early.due_at is not None
    assert early.subject == subject
    assert (late.due_at, late.subject, late.admitted) == (None, subject, True)
    assert ours.due_at is not None


@given(binary(max_size=64), binary(max_size=64))
def test_a_message_is_named_by_its_bytes_and_where_it_came_from(one: bytes, other: bytes) -> None:
    def name(body: bytes, source: str = "node.in", consumer: str = "door") -> object:
        return hold(consumer, Delivery(body, {}, source), Unreadable("x"), NOW).id

    assert (name(one) == name(other)) == (one == other)
    assert len({name(one), name(one, "http"), name(one, consumer="desk")}) == 3


def test_what_is_too_large_to_be_read_is_kept_as_size_and_digest() -> None:
    small, large = Delivery(bytes(LARGEST_KEPT), {}, "q"), Delivery(bytes(LARGEST_KEPT + 1), {"ce-id": "1"}, "q")
    assert small.without_excess() is small
    assert SIZES[-1] == LARGEST_KEPT, "whatever may be an envelope is kept whole"
    kept = large.without_excess()
    assert kept.body == b""
    assert kept.headers == {"ce-id": "1", "relais-size": str(LARGEST_KEPT + 1), "relais-sha256": large.digest().hex()}
