"""How fast callers may come, and who counts as one."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx
import pytest

from services.intake.routes.entrance import Paces
from services.intake.settings import IntakeSettings
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


async def post_from(door: AtWork, sealed: Sealed, host: str) -> int:
    """Bring an envelope from an address, and return how it is answered."""
    transport = httpx.ASGITransport(door.app, client=(host, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        headers = {**sealed.headers, "content-type": CONTENT_TYPE}
        return (await client.post("/events", content=sealed.envelope, headers=headers)).status_code


async def test_a_caller_that_comes_too_fast_is_told_when_to_come_again(door: AtWork, slow: Callable[..., None]) -> None:
    slow(reports_a_minute=0.4)
    answers = [await door.report(SILENT) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert is_problem(answers[2], 429, "too-many-requests")
    assert int(answers[2].headers["retry-after"]) >= 1


async def test_one_line_is_one_caller_however_many_addresses_it_has(door: AtWork, slow: Callable[..., None]) -> None:
    slow(reports_a_minute=0.2)
    assert await report_from(door, "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1") == [201, 429, 201]


async def test_all_callers_together_have_a_limit(door: AtWork, slow: Callable[..., None]) -> None:
    slow(all_reports_a_minute=4)
    assert await report_from(door, "192.0.2.1", "192.0.2.2", "192.0.2.3") == [201, 201, 429]


@pytest.mark.parametrize(
    "flood",
    [
        ("192.0.2.1", "198.51.100.1", "203.0.113.1"),
        tuple(f"2001:db8:0:{line:x}::1" for line in range(60)),
    ],
    ids=["three addresses", "sixty lines of one network"],
)
async def test_a_flood_from_a_few_networks_does_not_close_the_door_to_others(
    flood: tuple[str, ...], door: AtWork, slow: Callable[..., None]
) -> None:
    paces = IntakeSettings.model_fields
    slow(**{name: paces[f"intake_{name}"].default for name in ("reports_a_minute", "all_reports_a_minute")})
    answers = await report_from(door, *(flood * 20)[:60])
    assert answers[-1] == 429
    assert await report_from(door, "2001:db8:1::1", "192.0.3.1") == [201, 201]


async def test_others_mail_does_not_slow_the_partner_who_sealed_it(
    door: AtWork, knocking: Knocking, sender: Sender, slow: Callable[..., None]
) -> None:
    slow(events_a_second=0.2)
    assert [await post_from(door, sender.seal(to=knocking.stranger.id), f"192.0.2.{n}") for n in range(3)] == [400] * 3
    assert await post_from(door, sender.seal(), "192.0.2.9") == 202


async def test_whoever_brings_again_what_a_partner_once_sent_does_not_slow_the_partner(
    door: AtWork, sender: Sender, slow: Callable[..., None]
) -> None:
    seen, others = sender.seal(), [sender.seal() for _ in range(2)]
    assert (await door.post(seen)).status_code == 202
    slow(events_a_second=0.05)
    assert [await post_from(door, seen, f"192.0.2.{host}") for host in range(6)] == [200] * 6
    assert [await post_from(door, each, f"192.0.2.{20 + n}") for n, each in enumerate(others)] == [202, 429]
