"""No contender of the bench is paid for work that it has not done."""

import pytest

from bench import page
from bench.contenders.parts import NAMES
from bench.contenders.stopwatch import Stopwatch, Took
from bench.offers import BODY_BYTES, body, offers_for
from bench.receive import CONTENDERS, CheatError, Contender, Receive, measure, once
from bench.site import TABLES, Site
from deploy.broker.topology import BrokerRole
from deploy.local.progress import silent
from shared.clock import Clock
from shared.sealing.envelope import parse
from tests.support.partners import PASSPHRASE, Organisation
from tests.support.servers import BrokerPair, FreshDatabase

OFFERS = 50
LAST_FEW = 16
"""When a channel closes right after its last acknowledgements, the broker may not have come to them yet."""
ROWS = {
    "inbox": OFFERS,
    "folder": OFFERS,
    "case_file": OFFERS,
    "referral": OFFERS,
    "paper": 3 * OFFERS,
    "outbox": 0,
    "held": 0,
    "audit_leaf": 2 * OFFERS,
    "audit_pending": 2 * OFFERS,
}
SERVICES = (BrokerRole.INTAKE, BrokerRole.REFERRAL, BrokerRole.NOTIFY)


@pytest.fixture(scope="module")
async def ground(
    broker_pair: BrokerPair, fresh_database: FreshDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Site:
    """Give a site on the servers of this test run."""
    folder = tmp_path_factory.mktemp("bench")
    us, partner = (Organisation.make(folder, name) for name in (broker_pair.abri, broker_pair.ccem))
    us.agree_with(partner)
    offers = offers_for(us.id, partner.folder, PASSPHRASE, OFFERS, Clock().now())
    urls = {role: broker_pair.url(us.id, role) for role in SERVICES}
    return Site(us.id, us.folder, PASSPHRASE, await fresh_database("abri-be"), urls, offers)


def test_an_offer_is_two_kilobytes_in_the_smallest_envelope(ground: Site) -> None:
    assert len(body(Clock().now())) == BODY_BYTES
    assert {len(offer.envelope) for offer in ground.offers} == {4_096}
    assert {parse(offer.envelope).suite.value for offer in ground.offers} == {1}
    assert len({offer.envelope for offer in ground.offers}) == OFFERS


@pytest.mark.parametrize("name", ["ours", "usual"])
async def test_whoever_keeps_writes_the_same_rows_and_tells_every_fact(ground: Site, name: str) -> None:
    await ground.begin()
    await CONTENDERS[name].run(ground, Stopwatch())
    assert set(ROWS) == set(TABLES)
    assert await ground.rows() == ROWS
    assert await ground.take_told() == OFFERS
    assert await ground.take_left() <= LAST_FEW


async def test_the_limit_takes_every_offer_and_keeps_nothing(ground: Site) -> None:
    await ground.begin()
    await CONTENDERS["limit"].run(ground, Stopwatch())
    assert await ground.take_left() <= LAST_FEW
    assert not any((await ground.rows()).values())
    assert await ground.take_told() == 0


async def test_a_contender_that_does_nothing_is_found_out(ground: Site) -> None:
    async def idle(_site: Site, watch: Stopwatch) -> Took:
        watch.start()
        return watch.stop()

    with pytest.raises(CheatError):
        await once(ground, Contender(idle))


async def test_what_is_measured_can_be_shown(ground: Site) -> None:
    receive = await measure(ground, 1, silent)
    said = receive.as_json()
    assert said["messages"] == OFFERS
    assert len(said["per_round"]) == said["rounds"] == 1
    assert all(said[name] > 0 and said["cpu_us"][name] > 0 for name in CONTENDERS)
    assert all(set(costs) <= set(NAMES) for costs in said["costs_us"].values())
    assert "ours" in page.table(receive)
    assert "<svg" in page.render(receive, load=0.5)


@pytest.mark.parametrize(("usual", "limit", "reached"), [(4.1, 0.71, True), (3.9, 0.9, False), (5.0, 0.69, False)])
def test_what_must_be_reached(usual: float, limit: float, *, reached: bool) -> None:
    took = {"ours": Took(1.0, 1.0), "usual": Took(usual, 1.0), "limit": Took(limit, 1.0)}
    assert Receive(10, [took], {}).reached is reached
