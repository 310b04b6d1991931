"""Gaps in what a partner sends: found after a little patience, written down once, whatever the order of arrival."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.admission import Admission, Arrival, Period, Speaker, admit
from services.intake.domain.sequence import LARGEST_GAP, PATIENCE, Noted, Stream, look, missing
from shared.contracts.ids import KeyId, MessageId, OrganisationId

NOW = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
LONG_AGO = NOW - PATIENCE
STREAM = Stream(UUID(int=9), OrganisationId("ccem-fr"), Speaker.REFERRAL, reached=3)


def noted(sequence: int, at: datetime = LONG_AGO, message: int | None = None) -> Noted:
    return Noted(sequence, UUID(int=message or sequence), at)


def codes(stream: Stream, *arrivals: Noted) -> list[tuple[str, str, str]]:
    return [(entry.code, entry.detail["first"], entry.detail["last"]) for entry in look(stream, arrivals, NOW).entries]


def test_numbers_in_any_order_leave_no_gap() -> None:
    looked = look(STREAM, [noted(6), noted(4), noted(5)], NOW)
    assert (looked.reached, looked.entries) == (6, ())
    assert set(looked.done) == {UUID(int=4), UUID(int=5), UUID(int=6)}


def test_a_number_that_does_not_come_in_time_is_written_down() -> None:
    assert codes(STREAM, noted(4), noted(7)) == [("sequence.gap", "5", "6")]
    assert look(STREAM, [noted(7)], NOW).reached == 7


def test_a_neighbour_gets_a_little_time() -> None:
    just_now = NOW - PATIENCE + timedelta(milliseconds=1)
    looked = look(STREAM, [noted(5, just_now)], NOW)
    assert (looked.reached, looked.entries, looked.done) == (3, (), ())


def test_patience_begins_with_the_first_later_number() -> None:
    assert codes(STREAM, noted(5, NOW), noted(7)) == [("sequence.gap", "4", "4"), ("sequence.gap", "6", "6")]


def test_what_comes_after_all_and_what_comes_twice_is_written_down() -> None:
    assert codes(STREAM, noted(2)) == [("sequence.late", "2", "2")]
    assert codes(STREAM, noted(4), noted(4, message=44)) == [("sequence.repeated", "4", "4")]


def test_a_number_that_is_too_far_ahead_is_written_down_and_moves_nothing() -> None:
    last, wild = 4 + LARGEST_GAP, 5 + LARGEST_GAP
    assert codes(STREAM, noted(last)) == [("sequence.gap", "4", str(last - 1))]
    for number in (wild, 9_999_999_999_999_999):
        looked = look(STREAM, [noted(number)], NOW)
        assert [entry.code for entry in looked.entries] == ["sequence.wild"]
        assert (looked.reached, looked.done) == (3, (UUID(int=number),))
    waiting = look(STREAM, [noted(5, NOW), noted(9_999_999_999_999_999)], NOW)
    assert ([entry.code for entry in waiting.entries], waiting.reached) == (["sequence.wild"], 3)


def test_gaps_are_counted() -> None:
    assert missing(look(STREAM, [noted(2), noted(5), noted(9), noted(9_999_999)], NOW).entries) == 3


@given(st.data())
def test_every_number_that_is_missing_is_written_down_once(data: st.DataObject) -> None:
    came = data.draw(st.sets(st.integers(1, 40), min_size=1))
    order = data.draw(st.permutations(sorted(came)))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(order)))) | {len(order)})
    stream, waiting, gone = Stream(STREAM.id, STREAM.sender, STREAM.speaker, 0), list[Noted](), set[int]()
    begin = 0
    for cut in cuts:
        waiting += [noted(sequence) for sequence in order[begin:cut]]
        begin = cut
        looked = look(stream, waiting, NOW)
        stream = Stream(stream.id, stream.sender, stream.speaker, looked.reached)
        waiting = [each for each in waiting if each.message not in looked.done]
        for entry in looked.entries:
            span = set(range(int(entry.detail["first"]), int(entry.detail["last"]) + 1))
            match entry.code:
                case "sequence.gap":
                    assert not span & gone
                    gone |= span
                case "sequence.late":
                    assert span <= gone
                    gone -= span
    assert not waiting
    assert stream.reached == max(came)
    assert gone == set(range(1, max(came) + 1)) - came


US, THEM = OrganisationId("abri-be"), OrganisationId("ccem-fr")
HOLDS, ENDED = Period(NOW - 9 * PATIENCE, NOW + PATIENCE), Period(NOW - 9 * PATIENCE, NOW - PATIENCE)


def said(sequence: int, **changes: object) -> Arrival:
    """Return what the partner's referral service says to us under this number, or what ``changes`` make of it."""
    message = uuid4()
    given = {"recipient": US, "speaker": Speaker.REFERRAL, "key_holds": HOLDS, **changes}
    return Arrival(
        id=MessageId(message),
        inbox=message,
        sender=THEM,
        sequence=sequence,
        sealed_at=LONG_AGO,
        expires=NOW + PATIENCE,
        digest=bytes(32),
        envelope=b"",
        key=KeyId("ab" * 16),
        heard_until=HOLDS.until,
        opens_until=NOW + PATIENCE,
        **given,  # type: ignore[arg-type]
    )


ELSE = {
    "recipient": st.just(OrganisationId("foyer-fr")),
    "speaker": st.sampled_from([Speaker.INTAKE, Speaker.NEITHER]),
    "key_holds": st.just(ENDED),
}
"""What makes of it something that the partner's referral service has not said to us, under a key that holds."""

LARGEST = 9_999_999_999_999_999


def others(withheld: int) -> st.SearchStrategy[Arrival]:
    """Return what else may arrive: what is not said to us, and under their own key a number out of all bounds."""
    numbers = st.just(withheld) | st.integers(1, 40) | st.integers(1, LARGEST)
    changes = st.fixed_dictionaries({}, optional=ELSE).filter(bool)
    not_to_us = st.builds(lambda number, changed: said(number, **changed), numbers, changes)
    return not_to_us | st.builds(said, st.integers(50 + LARGEST_GAP, LARGEST))


@given(st.integers(2, 40), st.data())
def test_whatever_else_arrives_a_message_that_was_withheld_is_found(count: int, data: st.DataObject) -> None:
    withheld = data.draw(st.integers(1, count - 1))
    real = [said(number) for number in range(1, count + 1) if number != withheld]
    arrivals = data.draw(st.permutations(real + data.draw(st.lists(others(withheld), max_size=12))))
    stream, waiting, found = replace(STREAM, reached=0), list[Noted](), set[int]()
    for each in [*arrivals, None]:
        decision = admit(each, US, NOW) if each else None
        numbered = decision.numbered if isinstance(decision, Admission) else None
        if numbered and numbered.speaker is stream.speaker:
            waiting.append(Noted(numbered.sequence, numbered.message, LONG_AGO))
        if each is None or data.draw(st.booleans()):
            looked = look(stream, waiting, NOW)
            stream = replace(stream, reached=looked.reached)
            waiting = [one for one in waiting if one.message not in looked.done]
            for entry in looked.entries:
                if entry.code == "sequence.gap":
                    found |= set(range(int(entry.detail["first"]), int(entry.detail["last"]) + 1))
                assert (entry.code, entry.detail["first"]) != ("sequence.late", str(withheld))
    assert withheld in found
    assert stream.reached == count
