"""How fast callers may come, and who counts as one."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from services.intake.routes.entrance import Paces
from shared.sealing.header import CONTENT_TYPE
from tests.integration.intake.conftest import AtWork, Knocking, is_problem
from tests.support.partners import Sealed, Sender
from tests.support.reports import SILENT


@pytest.fixture(scope="module")
def sender(knocking: Knocking) -> Sender:
    """The partner's referral service."""
    return Sender.of(knocking.partner, knocking.us)


@pytest.fixture
def slow(door: AtWork) -> Iterator[Callable[..., None]]:
    """Give what sets the paces of the door; afterwards they are what they were."""
    before = door.app.state.entrance
    fast = {
        "events_a_second": 1_000,
        "reports_a_minute": 1_000,
        "all_events_a_second": 1_000,
        "all_reports_a_minute": 1_000,
    }

    def down(**rates: float) -> None:
        door.app.state.entrance = replace(before, paces=Paces(**{**fast, **rates}))

    yield down
    door.app.state.entrance = before


async def report_from(door: AtWork, *hosts: str) -> list[int]:
    """Make a report from each address, and return how each is answered."""
    statuses = []
    for host in hosts:
        transport = httpx.ASGITransport(door.app, client=(host, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
            statuses.append((await client.post("/reports", json=SILENT)).status_code)
    return statuses


async def test_a_caller_that_comes_too_fast_is_told_when_to_come_again(door: AtWork, slow: Callable[..., None]) -> None:
    slow(reports_a_minute=4)
    answers = [await door.report(SILENT) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert is_problem(answers[2], 429, "too-many-requests")
    assert int(answers[2].headers["retry-after"]) >= 1


async def test_one_line_is_one_caller_however_many_addresses_it_has(door: AtWork, slow: Callable[..., None]) -> None:
    slow(reports_a_minute=2)
    assert await report_from(door, "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1") == [201, 429, 201]


async def test_all_callers_together_have_a_limit(door: AtWork, slow: Callable[..., None]) -> None:
    slow(all_reports_a_minute=4)
    assert await report_from(door, "192.0.2.1", "192.0.2.2", "192.0.2.3") == [201, 201, 429]


async def test_whoever_brings_again_what_a_partner_once_sent_does_not_slow_the_partner(
    door: AtWork, sender: Sender, slow: Callable[..., None]
) -> None:
    seen, others = sender.seal(), [sender.seal() for _ in range(2)]
    assert (await door.post(seen)).status_code == 202
    slow(events_a_second=0.05)

    async def post(sealed: Sealed, host: str) -> int:
        transport = httpx.ASGITransport(door.app, client=(host, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
            headers = {**sealed.headers, "content-type": CONTENT_TYPE}
            return (await client.post("/events", content=sealed.envelope, headers=headers)).status_code

    assert [await post(seen, f"192.0.2.{host}") for host in range(6)] == [200] * 6
    assert [await post(each, f"192.0.2.{20 + n}") for n, each in enumerate(others)] == [202, 429]
