"""What the socket brings in one go is read together: in pieces, each step of reading would begin cold."""

from uuid import uuid4

import pytest

from shared.messaging.delivery import Delivery
from shared.messaging.desk import Reading
from tests.integration.messaging.conftest import Bench
from tests.support.parcels import Add, message
from tests.support.wait import until

SENT = 200
PIECE = 10
"""More messages than aiormq lets lie before a channel of its own: ten frames, and those in the channel's hand."""


async def test_what_has_come_in_one_go_is_read_together(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    together = [0]

    def reading(delivery: Delivery) -> Reading[Add]:
        together[-1] += 1
        yield  # until each of those that are read together has begun
        if together[-1]:
            together.append(0)
        return bench.desk.read(delivery)

    monkeypatch.setattr(bench.desk, "reading", reading)
    parcel = uuid4()
    await bench.send(message(parcel, 1) for _ in range(SENT))
    await bench.runtime.start()

    async def all_are_in() -> bool:
        return await bench.total(parcel) == SENT

    await until(all_are_in, seconds=20)
    assert sum(together) == SENT
    assert max(together) > PIECE
