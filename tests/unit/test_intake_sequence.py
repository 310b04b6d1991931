"""Gaps in what a partner sends: found after a little patience, written down once, whatever the order of arrival."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.admission import Voice
from services.intake.domain.sequence import PATIENCE, Noted, Stream, look, missing
from shared.contracts.ids import OrganisationId

NOW = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
LONG_AGO = NOW - PATIENCE
STREAM = Stream(UUID(int=9), OrganisationId("ccem-fr"), Voice.REFERRAL, reached=3)


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


def test_gaps_are_counted() -> None:
    assert missing(look(STREAM, [noted(2), noted(5), noted(9)], NOW).entries) == 2


@given(st.data())
def test_every_number_that_is_missing_is_written_down_once(data: st.DataObject) -> None:
    came = data.draw(st.sets(st.integers(1, 40), min_size=1))
    order = data.draw(st.permutations(sorted(came)))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(order)))) | {len(order)})
    stream, waiting, gone = Stream(STREAM.id, STREAM.sender, STREAM.voice, 0), list[Noted](), set[int]()
    begin = 0
    for cut in cuts:
        waiting += [noted(sequence) for sequence in order[begin:cut]]
        begin = cut
        looked = look(stream, waiting, NOW)
        stream = Stream(stream.id, stream.sender, stream.voice, looked.reached)
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
