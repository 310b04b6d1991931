"""The example partner system at a real door: over the exchange with its own least rights, and over HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
import uvicorn

from deploy.broker.topology import BrokerRole
from examples.partner_system import amqp, moments
from examples.partner_system.envelope import read
from examples.partner_system.folder import Folder
from examples.partner_system.keys import Kind
from examples.partner_system.outcomes import Confirmed, Later, Receipted, Rejected, Taken
from examples.partner_system.run import Journal, Run, Ways
from examples.partner_system.store import Outgoing
from examples.partner_system.web import NEWS_PAUSE, NEWS_TAKES, PAUSE, WebLink
from shared.contracts.ids import MessageId, OrganisationId
from shared.sealing.suites import KeyKind
from tests.integration.intake.conftest import AtWork, Knocking
from tests.support.day_centre import Centre, House, acquaint, become_partners, prepared, said
from tests.support.partners import Organisation, Sealed
from tests.support.servers import BrokerPair, Rabbit, make_broker_pair
from tests.support.wait import until

OFFERED = "referral.offered.v1"


@pytest.fixture(scope="module")
def broker_pair(rabbitmq: Rabbit) -> Iterator[BrokerPair]:
    """Give a pair of this module's own, in which the centre has an agreement with the door's organisation."""
    pair = make_broker_pair(rabbitmq)
    pair.agree((pair.ccem, pair.abri), (pair.accueil, pair.abri))
    yield pair
    pair.remove()


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory, broker_pair: BrokerPair, knocking: Knocking) -> Iterator[Centre]:
    """Give the centre's software, which is a partner of the door's organisation from now on."""
    own, us = Folder(tmp_path_factory.mktemp("centre")), knocking.us
    keys = become_partners(own, us.folder, us.identity, centre=broker_pair.accueil)
    opened = Centre.open(own, keys)
    yield opened
    opened.store.close()


@pytest.fixture
def house(centre: Centre, knocking: Knocking) -> House:
    """Give the hand that writes to the centre in the name of the door's organisation."""
    return House(knocking.us.folder, knocking.us.identity, OrganisationId(centre.desk.own))


def offer(centre: Centre, to: Organisation) -> Outgoing:
    """Make an offer that waits to be sent."""
    number, _ = centre.desk.offer(prepared(str(uuid4())), to.id)
    return next(made for made in centre.desk.to_send() if made.referral == number)


def sealed(made: Outgoing) -> Sealed:
    """Return an envelope of the centre in the form that the door's tests know."""
    return Sealed(MessageId(UUID(made.id)), made.envelope, read(made.envelope).header.labels())


async def test_the_door_takes_an_offer_over_http_and_its_receipt_is_believed(
    door: AtWork, knocking: Knocking, centre: Centre
) -> None:
    made, link = offer(centre, knocking.us), WebLink(door.client)
    first = await link.send(made)
    assert isinstance(first, Receipted)
    assert await link.send(made) == first
    (happened,) = centre.desk.sent(made, first)
    assert (happened.event, happened.codes["of"]) == ("receipt.given.v1", OFFERED)
    assert made not in centre.desk.to_send()
    await door.went_through(sealed(made))


async def test_the_door_takes_a_receipt_over_http(
    door: AtWork, knocking: Knocking, centre: Centre, house: House
) -> None:
    referral = centre.store.referral(str(offer(centre, knocking.us).referral))
    assert referral
    (opened,) = centre.take(house.seal(said(referral, "opened", 1, 1)))
    assert opened.event == "referral.opened.v1"
    receipt = centre.outgoing("receipt.given.v1")
    outcome = await WebLink(door.client).send(receipt)
    assert outcome == Taken()
    centre.desk.sent(receipt, outcome)
    assert receipt not in centre.desk.to_send()
    await door.went_through(sealed(receipt))


async def test_an_envelope_that_is_not_recognised_goes_again_for_a_day(
    door: AtWork, knocking: Knocking, centre: Centre
) -> None:
    made = offer(centre, knocking.us)
    altered = replace(made, envelope=made.envelope[:-1] + bytes([made.envelope[-1] ^ 1]))
    assert await WebLink(door.client).send(altered) == Later("sender-not-recognised", NEWS_PAUSE)
    tomorrow = WebLink(door.client, lambda: moments.now() + NEWS_TAKES)
    assert await tomorrow.send(altered) == Rejected("sender-not-recognised")
    assert isinstance(await tomorrow.send(made), Receipted)


@pytest.mark.parametrize(("status", "code"), [(408, "request-too-slow"), (503, "too-many-connections")])
async def test_what_did_not_get_through_goes_again(knocking: Knocking, centre: Centre, status: int, code: str) -> None:
    busy = httpx.MockTransport(lambda _: httpx.Response(status, json={"code": code}))
    async with httpx.AsyncClient(transport=busy, base_url="http://door") as client:
        assert await WebLink(client).send(offer(centre, knocking.us)) == Later(code, PAUSE)


@pytest.fixture
async def address(door: AtWork) -> AsyncIterator[str]:
    """Give the door's address on the network."""
    server = uvicorn.Server(uvicorn.Config(door.app, port=0, lifespan="off", log_config=None))
    running = asyncio.create_task(server.serve())
    await until(lambda: server.started, what="the door listening")
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await running


async def test_a_run_over_http_alone_ends_with_the_receipts(
    address: str, door: AtWork, knocking: Knocking, centre: Centre
) -> None:
    lines: list[str] = []
    run = Run(centre.desk, Journal(lines.append), Ways(None, address))
    files = [prepared(str(uuid4())) for _ in range(3)]
    assert await run.hand_over(files, knocking.us.id, 20, withdraw=False) == 3
    receipts = [line for line in map(json.loads, lines) if line["event"] == "receipt.given.v1"]
    assert {line["referral"] for line in receipts} >= set(run.referrals)
    assert all(centre.store.has_offer_receipt(referral) for referral in run.referrals)
    await until(lambda: len(door.forwarded) >= 3, what="the offers at referral")


async def test_the_door_takes_an_offer_over_the_exchange_and_sends_its_receipt(
    door: AtWork, broker_pair: BrokerPair, knocking: Knocking, centre: Centre
) -> None:
    made = offer(centre, knocking.us)
    url = broker_pair.exchange_url(broker_pair.accueil, BrokerRole.PARTNER)
    async with amqp.connected(url, broker_pair.accueil, [knocking.us.id]) as link:
        assert await link.send(made) == Confirmed()
        async for delivery in link.deliveries():
            happened = centre.desk.take(delivery.body, delivery.headers)
            await delivery.ack()
            if any(one.referral == made.referral for one in happened):
                break
    assert [(one.event, one.codes["of"]) for one in happened] == [("receipt.given.v1", OFFERED)]
    assert centre.desk.is_received(str(made.referral))
    await door.went_through(sealed(made))


async def test_without_an_agreement_the_exchange_gives_it_back(rabbitmq: Rabbit, tmp_path: Path) -> None:
    pair = make_broker_pair(rabbitmq)
    two = acquaint(tmp_path, Kind.X25519, KeyKind.X25519, pair.accueil, pair.ccem)
    two.centre.desk.offer(prepared(), pair.ccem)
    (made,) = two.centre.desk.to_send()
    async with amqp.connected(pair.exchange_url(pair.accueil, BrokerRole.PARTNER), pair.accueil, [pair.ccem]) as link:
        outcome = await link.send(made)
        assert isinstance(outcome, Later)
        assert outcome.code == "agreement-none"
        pair.agree((pair.ccem, pair.accueil))
        assert await link.send(made) == Confirmed()
    two.centre.store.close()
    pair.remove()
