"""The store keeps what it is given once, finds it again by what an operator knows, and never outgrows its bounds."""

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from deploy.traces import reading
from deploy.traces.reading import Filter
from deploy.traces.spans import Event, Span, Speaker
from deploy.traces.store import Store
from shared.clock import Clock
from tests.support.spans import NOON, SPANS, made, span_id, trace_id

NOW = NOON / 1e9 + 60
REFERRAL = "6f2c1a94-58f1-4c68-b0c5-0d2f64f0a1de"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Return an empty store."""
    opened = Store(tmp_path / "traces.db")
    yield opened
    opened.close()


def found(store: Store, **wanted: object) -> list[str]:
    """Return the numbers of the traces that are found, in order."""
    return [f"{int(each.id, 16)}" for each in reading.find(store, Filter.model_validate(wanted), NOW)]


def count(store: Store) -> int:
    return int(store.select("SELECT count(*) AS n FROM span")[0]["n"])


@pytest.mark.parametrize("there", [False, True])
def test_nobody_else_reads_it_in_a_folder_that_is_open(tmp_path: Path, *, there: bool) -> None:
    if there:
        (tmp_path / "traces.db").touch(0o644)
    before = os.umask(0o022)
    try:
        store = Store(tmp_path / "traces.db")
    finally:
        os.umask(before)
    store.add([made()])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    store.close()
    assert modes == {"traces.db": 0o600, "traces.db-wal": 0o600, "traces.db-shm": 0o600}


def test_a_span_comes_back_as_it_was(store: Store) -> None:
    span = made(attributes={"code": "ok", "count": 1}, events=(Event("e", NOON, {"a": True}),), links=((2, 1),))
    store.add([span])
    assert store.trace(span.trace) == [span]


def test_a_span_that_comes_twice_is_kept_once(store: Store) -> None:
    store.add([made(links=((2, 1),))])
    store.add([made(links=((2, 1),)), made(number=2, parent=1)])
    (summary,) = reading.find(store, Filter(), NOW)
    assert (summary.spans, summary.linked, count(store)) == (2, 1, 2)


def test_a_trace_is_summed_up_as_its_spans_come_in(store: Store) -> None:
    store.add([made(number=2, parent=1, began=5, took=20, speaker="ccem-fr referral", name="late", failed=True)])
    store.add([made(name="root", took=10)])
    (summary,) = reading.find(store, Filter(), NOW)
    assert (summary.name, summary.root) == ("root", Speaker("ccem-fr", "intake"))
    assert (summary.spans, summary.failed, summary.duration) == (2, 1, 25_000_000)
    assert summary.speakers == (Speaker("ccem-fr", "intake"), Speaker("ccem-fr", "referral"))


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        ({}, ["3", "2", "1"]),
        ({"service": "referral"}, ["2"]),
        ({"organisation": "abri-be"}, ["3"]),
        ({"organisation": "abri-be", "service": "referral"}, []),
        ({"name": "ENVELOPE"}, ["3"]),
        ({"name": "100%"}, []),
        ({"shortest": "50"}, ["2"]),
        ({"failed": "true"}, ["3"]),
        ({"failed": "false"}, ["2", "1"]),
        ({"about": REFERRAL}, ["1"]),
        ({"about": trace_id(2)}, ["2"]),
        ({"within": "5m"}, ["3", "2", "1"]),
        ({"before": NOON + 1_000_000_000}, ["1"]),
        ({"limit": "1"}, ["3"]),
        ({"service": "", "failed": "", "name": "", "about": "", "shortest": "", "within": ""}, ["3", "2", "1"]),
    ],
)
def test_traces_are_found_by_what_an_operator_knows(
    store: Store, wanted: dict[str, object], numbers: list[str]
) -> None:
    store.add(
        [
            made(1, attributes={"referral_id": REFERRAL}),
            made(2, speaker="ccem-fr referral", began=1000, took=80),
            made(3, speaker="abri-be intake", name="envelope.verify", began=2000, failed=True),
        ]
    )
    assert found(store, **wanted) == numbers


def test_a_stretch_of_time_ends_now(store: Store) -> None:
    store.add([made(1, began=-4_000_000), made(2, began=-200_000)])
    assert (found(store, within="1h"), found(store, within="5m")) == (["2"], ["2"])
    assert found(store, within="1d") == ["2", "1"]


def test_links_are_known_at_both_ends(store: Store) -> None:
    store.add([made(1, 7, speaker="ccem-fr referral"), made(2, 8, speaker="abri-be intake", links=((1, 7),))])
    (on,) = reading.links_to(store, trace_id(1))
    (span,) = store.trace(trace_id(2))
    assert (on.trace, on.span, on.at) == (trace_id(2), span_id(8), span_id(7))
    assert reading.speaker_of(store, on) == Speaker("abri-be", "intake")
    assert reading.speaker_of(store, span.links[0]) == Speaker("ccem-fr", "referral")


def test_a_path_goes_over_links_and_over_the_same_referral(store: Store) -> None:
    subject = {"referral_id": REFERRAL}
    store.add(
        [
            made(1, attributes=subject),
            made(2, links=((1, 1),), began=1),
            made(3, attributes=subject, began=2),
            made(4, links=((3, 1), (99, 1)), began=3),
            made(5, attributes={"message_id": REFERRAL}, began=4),
        ]
    )
    ids = reading.path(store, trace_id(4))
    assert ids[0] == trace_id(4)
    assert set(ids) == {trace_id(number) for number in (1, 2, 3, 4, 99)}
    assert [each.id for each in reading.summaries(store, ids)] == [trace_id(number) for number in (1, 2, 3, 4)]


def test_a_path_is_bounded(store: Store) -> None:
    store.add([made(number, links=((number + 1, 1),)) for number in range(1, 200)])
    assert len(reading.path(store, trace_id(100))) == reading.LONGEST_PATH


def test_calls_are_counted_inside_a_node_and_between_nodes(store: Store) -> None:
    store.add(
        [
            made(1, 1, speaker="ccem-fr referral"),
            made(1, 2, 1, speaker="ccem-fr referral"),
            made(2, 1, speaker="abri-be intake", links=((1, 2),)),
            made(2, 2, 1, speaker="abri-be referral", failed=True),
            made(2, 3, 1, speaker="abri-be referral"),
        ]
    )
    told = [
        (str(each.caller.service), each.called.service, each.count, each.failed, each.by_link) for each in calls(store)
    ]
    assert told == [("intake", "referral", 2, 1, False), ("referral", "intake", 1, 0, True)]


def calls(store: Store) -> list[reading.Calls]:
    return reading.calls(store, None, NOW)


def test_failures_are_told_by_where_they_began(store: Store) -> None:
    store.add(
        [
            made(1, 1, name="receive", failed=True, attributes={"code": "envelope-altered"}),
            made(
                1, 2, 1, name="verify", failed=True, attributes={"code": "envelope-altered", "error.type": "BadError"}
            ),
            made(
                2,
                1,
                name="verify",
                began=9,
                failed=True,
                attributes={"code": "envelope-altered", "error.type": "BadError"},
            ),
            made(3, 1, name="mail", failed=True),
        ]
    )
    told = [(each.name, each.code, each.error, each.count, each.example) for each in reading.failures(store, None, NOW)]
    assert told == [
        ("verify", "envelope-altered", "BadError", 2, trace_id(2)),
        ("mail", "", "", 1, trace_id(3)),
    ]


def test_the_oldest_traces_make_room_when_there_are_too_many_spans(tmp_path: Path) -> None:
    store = Store(tmp_path / "traces.db", most_spans=100)
    for trace in range(1, 60):
        store.add([made(trace, number, began=trace, links=((trace + 1, 1),)) for number in range(1, 6)])
        assert count(store) <= 100
    kept = [int(number) for number in found(store, limit=500)]
    assert kept[0] == 59
    assert kept == list(range(59, 59 - len(kept), -1))
    assert len(kept) >= 17
    assert len(store.select("SELECT DISTINCT from_trace FROM link")) == len(kept)
    store.close()


def test_what_is_too_old_goes_even_if_nothing_new_comes(tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    store = Store(tmp_path / "traces.db", longest=timedelta(days=2), clock=Clock(offset))
    store.add([made(1)])
    offset.write_text(str(timedelta(days=1).total_seconds()))
    store.add([made(2, began=1)])
    offset.write_text(str(timedelta(days=2, hours=1).total_seconds()))
    store.expire()
    assert found(store) == ["2"]
    offset.write_text(str(timedelta(days=9).total_seconds()))
    store.expire()
    assert (found(store), count(store), reading.speakers(store)) == ([], 0, [])
    store.close()


def test_the_file_does_not_grow_without_bound(tmp_path: Path) -> None:
    store = Store(tmp_path / "traces.db", most_spans=500)
    sizes = []
    for batch in range(80):
        store.add([made(batch * 100 + trace, number) for trace in range(1, 41) for number in range(1, 6)])
        sizes.append(sum(file.stat().st_size for file in tmp_path.glob("traces.db*")))
    store.close()
    assert max(sizes[40:]) <= 1.1 * max(sizes[:40])


def test_another_run_goes_on_with_the_same_file(tmp_path: Path) -> None:
    first = Store(tmp_path / "traces.db", most_spans=10)
    first.add([made(1, number) for number in range(1, 9)])
    first.close()
    second = Store(tmp_path / "traces.db", most_spans=10)
    second.add([made(2, number, began=1) for number in range(1, 9)])
    assert found(second) == ["2"]
    second.close()


def test_many_threads_may_add_and_read(store: Store) -> None:
    def work(number: int) -> int:
        store.add([made(number, each) for each in range(1, 11)])
        return len(store.trace(trace_id(number)))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(1, 41))) == [10] * 40
    assert count(store) == 400


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(SPANS)
def test_any_spans_can_be_kept_and_asked_about(store: Store, spans: list[Span]) -> None:
    store.add(spans)
    for summary in reading.find(store, Filter(), NOW):
        kept = store.trace(summary.id)
        assert summary.spans == len(kept)
        assert summary.failed == sum(span.failed for span in kept)
        assert reading.path(store, summary.id)[0] == summary.id
    calls(store)
    reading.failures(store, None, NOW)
