"""Commands of a person, on a real database: what is refused keeps nothing but what is written down of it."""

from uuid import uuid4

import pytest

from shared.contracts.entries import Entry, EntryCode
from shared.messaging.decision import Decision, Refusal
from shared.messaging.delivery import Delivery
from tests.integration.messaging.conftest import Bench
from tests.support.parcels import Parcel, message


async def test_a_command_that_is_refused_may_be_asked_again(bench: Bench) -> None:
    heard = bench.desk.read(Delivery(message(uuid4(), 5, trouble="forbidden")[1], {}, "http"))
    await bench.runtime.start()
    for _ in range(2):
        refusal = (await bench.shell.act(heard)).refusal
        assert refusal is not None
        assert refusal.code == "parcel-forbidden"
    assert await bench.count("inbox") == await bench.count("held") == 0
    bench.desk.troubles.clear()
    granted = bench.desk.read(Delivery(message(heard.key, 5, id_=heard.id)[1], {}, "http"))
    assert (await bench.shell.act(granted)).state is not None
    assert (await bench.shell.act(granted)).state is None
    assert await bench.total(heard.key) == 5


async def test_a_command_that_is_refused_and_written_down_may_be_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = bench.desk.read(Delivery(message(uuid4(), 5)[1], {}, "http"))
    line = Entry(EntryCode.MESSAGE_REFUSED, "ccem-fr", heard.key, bench.clock.now())
    with monkeypatch.context() as refusing:
        refused = Decision[Parcel](refusal=Refusal("parcel-forbidden"), entries=(line,))
        refusing.setattr(bench.desk, "decide", lambda *_: refused)
        for times in (1, 2):
            assert (await bench.shell.act(heard)).refusal == refused.refusal
            assert (await bench.count("inbox"), await bench.count("audit_leaf")) == (0, times)
    assert (await bench.shell.act(heard)).state is not None
    assert await bench.total(heard.key) == 5
