"""What comes before its turn is kept once, and tried when that comes: not at every change, and not behind a gap."""

from uuid import UUID, uuid4

import pytest

from shared.messaging import held
from shared.messaging.delivery import Delivery
from tests.integration.messaging.conftest import Bench
from tests.support.parcels import message

MANY = 1_000
BATCH = 300
GAP = MANY // 2


def steps(parcel: UUID, *numbers: int, origin: str = "") -> list[Delivery]:
    """Return the steps of a parcel that have these numbers, each in a message of its own."""
    return [Delivery(message(parcel, 0, after=number - 1)[1], {}, "test", origin=origin) for number in numbers]


async def wait(bench: Bench, deliveries: list[Delivery]) -> None:
    """Let come, batch by batch, what must wait: for its turn alone, and for no time."""
    for start in range(0, len(deliveries), BATCH):
        await bench.take(deliveries[start : start + BATCH])
    await bench.pool.execute("UPDATE held SET due_at = due_at + interval '1 day'")


async def go(bench: Bench, deliveries: list[Delivery]) -> None:
    """Let come what need not wait, and try what is due until nothing is."""
    await bench.take(deliveries)
    while await bench.shell.take_due(100):
        pass


async def taken(bench: Bench, parcel: UUID) -> int:
    """Return how many steps a parcel has taken."""
    return int(await bench.pool.fetchval("SELECT cardinality(steps) FROM parcel WHERE id = $1", parcel))


async def test_a_thousand_that_come_in_reverse_are_each_tried_twice(bench: Bench) -> None:
    parcel = uuid4()
    await wait(bench, steps(parcel, *(n for n in range(MANY, 1, -1) if n != GAP)))
    assert len(bench.desk.tried) == MANY - 2
    await go(bench, steps(parcel, 1))
    assert await taken(bench, parcel) == GAP - 1
    assert len(bench.desk.tried) == MANY - 2 + GAP - 1, "nothing behind the gap is tried"
    await go(bench, steps(parcel, GAP))
    assert await taken(bench, parcel) == MANY
    assert len(bench.desk.tried) == 2 * MANY - 2, "but for the first and the gap, each when it came and at its turn"
    assert await bench.count("held") == 0


async def test_nobody_who_has_much_waiting_keeps_what_another_sent_from_being_tried(bench: Bench) -> None:
    much, little = steps(uuid4(), *range(2, 12), origin="ccem-fr"), steps(uuid4(), 2, 3, origin="foyer-fr")
    await bench.take(much)
    await bench.take(little)
    await bench.pool.execute(
        "UPDATE held SET due_at = now() - CASE origin WHEN 'ccem-fr' THEN interval '1 h' ELSE '0' END"
    )
    async with bench.pool.acquire() as connection:
        due = await held.due(connection, bench.desk.name, bench.clock.now(), 4)
    assert {each.body for each in due} == {each.body for each in (*much[:2], *little)}


@pytest.mark.parametrize("together", [True, False])
async def test_of_those_that_wait_for_one_turn_the_first_of_each_origin_is_kept(
    bench: Bench, *, together: bool
) -> None:
    parcel = uuid4()
    first, *copies = steps(parcel, *[3] * 20, origin="ccem-fr")
    others = steps(parcel, 3, origin="foyer-fr")
    for batch in [[first, *copies, *others]] if together else [[first], copies, others]:
        await bench.take(batch)
    held = await bench.pool.fetch("SELECT origin, body FROM held ORDER BY origin")
    assert [(row["origin"], row["body"]) for row in held] == [("ccem-fr", first.body), ("foyer-fr", others[0].body)]
    assert await bench.count("inbox") == 21, "none of them is looked at again"


async def test_what_waits_since_before_there_were_turns_is_tried_at_each_change(bench: Bench) -> None:
    parcel = uuid4()
    await wait(bench, steps(parcel, 2))
    await bench.pool.execute("UPDATE held SET turn = 0")
    await go(bench, steps(parcel, 1))
    assert await taken(bench, parcel) == 2
