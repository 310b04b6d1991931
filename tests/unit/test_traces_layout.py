"""Waterfall, lanes and graph: every span has its place, inside the picture, and time only runs forward."""

from itertools import pairwise

import pytest
from hypothesis import given

from deploy.traces import graph
from deploy.traces.lanes import LANE, lanes
from deploy.traces.reading import Calls
from deploy.traces.spans import Event, Span, Speaker
from deploy.traces.waterfall import DEEPEST, Axis, rows
from tests.support.spans import MS, NOON, SPANS, made, one_trace

INTAKE, REFERRAL, NOTIFY = (Speaker("ccem-fr", each) for each in ("intake", "referral", "notify"))
DOOR = Speaker("abri-be", "intake")


def test_children_stand_under_their_parents_in_the_order_of_time() -> None:
    spans = [
        made(1, 4, 1, began=8, name="d"),
        made(1, 2, 1, began=1, name="b"),
        made(1, 1, name="a"),
        made(1, 3, 2, name="c"),
    ]
    laid = rows(spans, Axis.plain(spans))
    assert [(row.span.name, row.depth, row.children) for row in laid] == [
        ("a", 0, 2),
        ("b", 1, 1),
        ("c", 2, 0),
        ("d", 1, 0),
    ]


def test_a_bar_stands_where_its_span_ran() -> None:
    spans = [made(1, 1, took=100), made(1, 2, 1, began=25, took=50, events=(Event("e", NOON + 50 * MS, {}),))]
    _, row = rows(spans, Axis.plain(spans))
    assert (row.left, row.width, row.marks) == (25.0, 50.0, (50.0,))


def test_a_span_without_its_parent_stands_at_the_top() -> None:
    spans = [made(1, 1), made(1, 2, 99)]
    assert [row.depth for row in rows(spans, Axis.plain(spans))] == [0, 0]


def test_parents_that_go_round_in_a_circle_are_shown() -> None:
    spans = [made(1, 1, 2), made(1, 2, 1), made(1, 3, 3)]
    assert {row.span.id for row in rows(spans, Axis.plain(spans))} == {span.id for span in spans}


def test_very_deep_spans_are_indented_no_further() -> None:
    spans = [made(1, number, number - 1 or None) for number in range(1, 1500)]
    assert max(row.depth for row in rows(spans, Axis.plain(spans))) == DEEPEST


@given(SPANS)
def test_every_span_has_one_row_inside_the_picture(spans: list[Span]) -> None:
    spans = one_trace(spans)
    for axis in (Axis.plain(spans), Axis.folded(spans)):
        laid = rows(spans, axis)
        assert sorted(row.span.id for row in laid) == sorted(span.id for span in spans)
        for row in laid:
            assert 0 <= row.left < 100
            assert 0 < row.width <= 100.01
            assert row.left + row.width <= 100.2


@given(SPANS)
def test_a_folded_axis_never_goes_back(spans: list[Span]) -> None:
    axis = Axis.folded(spans)
    moments = sorted({moment for span in spans for moment in (span.started, span.ended)})
    places = [axis.at(moment) for moment in moments]
    assert all(one <= other + 1e-9 for one, other in pairwise(places))
    assert places[0] == pytest.approx(0)
    assert places[-1] == pytest.approx(100) or not any(span.duration for span in spans)
    assert len(axis.gaps) == len(axis.pieces) - 1


def test_idle_time_is_folded_and_its_length_is_told() -> None:
    axis = Axis.folded([made(1, 1, took=100), made(2, 1, began=3_600_000, took=100)])
    (gap,) = axis.gaps
    assert gap.duration == 3_599_900 * MS
    assert gap.width < 5
    assert axis.at(NOON + 100 * MS) == pytest.approx(48.5)
    assert axis.at(NOON + 3_600_000 * MS) == pytest.approx(51.5)


def test_short_pauses_stay() -> None:
    assert Axis.folded([made(1, 1, took=100), made(2, 1, began=120, took=100)]).gaps == ()


def test_a_plain_axis_has_five_marks() -> None:
    assert [after for _, after in Axis.plain([made(took=100)]).ticks()] == [share * 25 * MS for share in range(5)]


def test_a_path_has_a_lane_for_each_service_and_lines_between_them() -> None:
    spans = [
        made(1, 1, speaker="ccem-fr referral", took=10),
        made(1, 2, 1, speaker="ccem-fr referral", began=2, took=2),
        made(2, 1, speaker="abri-be intake", began=20, links=((1, 2), (77, 7))),
        made(2, 2, 1, speaker="abri-be referral", began=31),
    ]
    picture = lanes(spans, Axis.plain(spans))
    assert [each.service for each in picture.speakers] == ["referral", "intake", "referral"]
    assert picture.height == 3 * LANE
    assert [(bar.span.id, bar.top) for bar in picture.bars] == [
        (spans[0].id, 0),
        (spans[2].id, LANE),
        (spans[3].id, 2 * LANE),
    ]
    assert [(hop.y1, hop.y2, hop.by_link) for hop in picture.hops] == [(15, 45, True), (45, 75, False)]
    assert all(hop.x1 <= hop.x2 for hop in picture.hops)


@given(SPANS)
def test_lanes_and_lines_stay_inside_the_picture(spans: list[Span]) -> None:
    picture = lanes(spans, Axis.folded(spans))
    assert len(set(picture.speakers)) == len(picture.speakers)
    for hop in picture.hops:
        assert 0 <= hop.x1 <= 100.1
        assert 0 <= hop.x2 <= 100.1
        assert 0 < min(hop.y1, hop.y2) < max(hop.y1, hop.y2) < picture.height


def test_services_stand_in_the_order_of_a_message_inside_their_organisation() -> None:
    drawing = graph.draw([NOTIFY, REFERRAL, DOOR, INTAKE], [])
    assert [box.organisation for box in drawing.boxes] == ["abri-be", "ccem-fr"]
    assert [node.speaker for node in drawing.nodes] == [DOOR, INTAKE, REFERRAL, NOTIFY]
    assert len({(node.x, node.y) for node in drawing.nodes}) == 4


def test_every_call_is_an_arrow_and_no_two_lie_on_one_another() -> None:
    everybody = [INTAKE, REFERRAL, NOTIFY, DOOR, Speaker("abri-be", "referral")]
    calls = [Calls(a, b, 1, 0, a.organisation != b.organisation) for a in everybody for b in everybody if a != b]
    drawing = graph.draw([], calls)
    assert len({arrow.d for arrow in drawing.arrows}) == len(calls)
    for arrow in drawing.arrows:
        assert 0 < arrow.label_x < drawing.width
        assert 0 < arrow.label_y < drawing.height


def test_nobody_makes_an_empty_drawing() -> None:
    assert graph.draw([], []).nodes == ()
