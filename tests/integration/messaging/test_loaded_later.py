"""What a desk cannot look at now is tried again, and holds up no other."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from shared.messaging.delivery import Delivery, Later
from shared.storage.pool import Connection
from tests.integration.messaging.conftest import Bench
from tests.support.parcels import Add, Parcel, message


async def test_what_cannot_be_looked_at_now_is_tried_again_and_holds_up_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    away, here, original = uuid4(), uuid4(), bench.desk.load

    async def load(connection: Connection, keys: Sequence[UUID], whats: Sequence[Add]) -> dict[UUID, Parcel]:
        if away in keys:
            raise Later("key-away", ours=True)
        return await original(connection, keys, whats)

    monkeypatch.setattr(bench.desk, "load", load)
    await bench.take([Delivery(message(parcel, 1)[1], {}, "test") for parcel in (away, here, away, here)])
    assert await bench.total(here) == 2
    rows = await bench.pool.fetch("SELECT reason, due_at IS NULL AS parked FROM held")
    assert [tuple(row) for row in rows] == [("key-away", False)] * 2
