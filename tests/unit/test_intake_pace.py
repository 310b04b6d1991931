"""The rate limit: what it says to wait is enough, and it forgets."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.pace import Ceiling, Limit, Pace, caller_at, network_at

NOW = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)


def test_a_burst_is_allowed_and_then_the_pace() -> None:
    pace = Pace(Limit(burst=3, a_second=0.5))
    assert [pace.wait("a", NOW) for _ in range(4)] == [0, 0, 0, 2]
    assert pace.wait("a", NOW + timedelta(seconds=1)) == 1
    assert pace.wait("a", NOW + timedelta(seconds=2)) == 0
    assert pace.wait("a", NOW + timedelta(seconds=2)) == 2


def test_one_caller_does_not_slow_another() -> None:
    pace = Pace(Limit(burst=1, a_second=1))
    assert [pace.wait(caller, NOW) for caller in ("a", "a", "b")] == [0, 1, 0]


def test_looking_counts_nothing() -> None:
    pace = Pace(Limit(burst=1, a_second=1))
    assert [pace.look("a", NOW) for _ in range(3)] == [0, 0, 0]
    assert (pace.wait("a", NOW), pace.look("a", NOW), pace.wait("a", NOW)) == (0, 1, 1)


def test_a_clock_that_ran_ahead_and_was_put_right_shuts_out_nobody() -> None:
    pace = Pace(Limit(burst=1, a_second=0.01))
    assert [pace.wait("a", NOW + timedelta(days=1)), pace.wait("a", NOW), pace.wait("a", NOW)] == [0, 0, 100]


@pytest.mark.parametrize(
    ("hosts", "callers"),
    [
        (("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:0DB8:1:2::"), 1),
        (("2001:db8:1:2::1", "2001:db8:1:3::1"), 2),
        (("192.0.2.1", "192.0.2.2"), 2),
        (("192.0.2.1", "::ffff:192.0.2.1"), 1),
        (("", "door"), 2),
    ],
)
def test_an_ipv6_address_is_its_64_and_no_more(hosts: tuple[str, ...], callers: int) -> None:
    assert len({caller_at(host) for host in hosts}) == callers


@pytest.mark.parametrize(
    ("hosts", "networks"),
    [
        (("2001:db8:1:2::1", "2001:db8:1:ffff::1"), 1),
        (("2001:db8:1::1", "2001:db8:2::1"), 2),
        (("192.0.2.1", "192.0.2.255", "::ffff:192.0.2.7"), 1),
        (("192.0.2.1", "192.0.3.1"), 2),
        (("fe80::1%eth0", "fe80::2"), 1),
        (("", "door"), 2),
    ],
)
def test_a_network_is_what_routers_take(hosts: tuple[str, ...], networks: int) -> None:
    assert len({network_at(host) for host in hosts}) == networks


COMING = st.lists(st.tuples(st.integers(0, 5), st.floats(0, 5)), max_size=120)
"""Who comes, of six networks, and how long after the one before."""


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 0.3)), min_size=60, max_size=120))
def test_a_few_networks_cannot_close_the_door_to_another(coming: list[tuple[int, float]]) -> None:
    ceiling, at = Ceiling(Limit(40, 1.0), few=Limit(3, 1 / 600)), NOW
    for network, pause in coming:
        at += timedelta(seconds=pause)
        ceiling.wait(str(network), at)
    assert ceiling.wait("another", at) == 0


@given(COMING)
def test_all_together_do_no_more_than_the_ceiling_allows(coming: list[tuple[int, float]]) -> None:
    ceiling, at, passed = Ceiling(Limit(10, 0.5), few=Limit(3, 0.1)), NOW, 0
    for network, pause in coming:
        at += timedelta(seconds=pause)
        passed += not ceiling.wait(str(network), at)
    assert passed <= 10 + 0.5 * (at - NOW).total_seconds() + 1e-3


@given(COMING)
def test_whoever_waits_for_the_ceiling_as_told_is_let_in(coming: list[tuple[int, float]]) -> None:
    ceiling, at = Ceiling(Limit(2, 0.2), few=Limit(1, 0.3)), NOW
    for network, pause in coming:
        at += timedelta(seconds=pause)
        wait = ceiling.wait(str(network), at)
        if wait:
            at += timedelta(seconds=wait)
            assert ceiling.wait(str(network), at) == 0


def test_a_flood_leaves_each_network_a_few() -> None:
    ceiling = Ceiling(Limit(20, 1.0), few=Limit(2, 1 / 600))
    assert [ceiling.wait("flood", NOW) for _ in range(13)].count(0) == 12
    assert [bool(ceiling.wait("reporter", NOW)) for _ in range(3)] == [False, False, True]


def test_quiet_callers_are_forgotten() -> None:
    pace = Pace(Limit(burst=1, a_second=0.001), most_callers=2)
    assert [pace.wait(caller, NOW) for caller in ("a", "b", "c")] == [0, 0, 0]
    assert pace.wait("c", NOW) > 0
    assert pace.wait("a", NOW) == 0


@given(st.integers(1, 20), st.floats(0.01, 50), st.lists(st.floats(0, 10), max_size=30))
def test_whoever_waits_as_told_is_let_in(burst: int, a_second: float, pauses: list[float]) -> None:
    pace, at = Pace(Limit(burst, a_second)), NOW
    for pause in pauses:
        at += timedelta(seconds=pause)
        wait = pace.wait("a", at)
        if wait:
            at += timedelta(seconds=wait)
            assert pace.wait("a", at) == 0
