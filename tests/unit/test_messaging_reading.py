"""Messages that come together are read together: each step for all, and none in the way of the others."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from shared.clock import Clock
from shared.messaging.decision import Decision
from shared.messaging.delivery import Delivery, Heard, Later, Unreadable, Unsigned
from shared.messaging.desk import Desk, Reading, Said, whole
from shared.messaging.outbox import Letter
from shared.messaging.shell import Shell
from shared.storage.pool import Connection

BODIES = (b"one", b"unsigned", b"two", b"unreadable", b"later", b"broken", b"three")


class _Steps(Desk[bytes, None]):
    """Reads in two steps, and writes down in which order."""

    name = "steps"
    says = str

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []

    def read(self, delivery: Delivery) -> Heard[bytes]:
        return whole(self.reading(delivery))

    def reading(self, delivery: Delivery) -> Reading[bytes]:
        self.taken.append(("verify", delivery.body))
        if delivery.body == b"unsigned":
            raise Unsigned("nobody's")
        yield
        self.taken.append(("open", delivery.body))
        match delivery.body:
            case b"unreadable":
                raise Unreadable("rubbish")
            case b"later":
                raise Later("key-unknown")
            case b"broken":
                raise ZeroDivisionError
        return Heard(uuid4(), delivery.digest(), UUID(int=1), delivery.body)

    def decide(self, _state: None, _heard: Heard[bytes], _at: datetime) -> Decision[None]:
        return Decision()

    async def say(self, _connection: Connection, _said: Sequence[Said], _at: datetime) -> Sequence[Letter]:
        return ()


def shell_of(desk: _Steps) -> Shell[bytes, None]:
    nowhere: Any = None
    return Shell(desk, pool=nowhere, post=nowhere, clock=Clock(), service="steps")


def test_each_step_is_taken_for_all_before_the_next_one() -> None:
    desk = _Steps()
    shell_of(desk).read([Delivery(body, {}, "steps") for body in BODIES])
    opened = [body for body in BODIES if body != b"unsigned"]
    assert desk.taken == [*(("verify", body) for body in BODIES), *(("open", body) for body in opened)]


def test_what_cannot_be_read_keeps_its_place_and_stops_nobody() -> None:
    reads = shell_of(_Steps()).read([Delivery(body, {}, "steps") for body in BODIES])
    assert [read.heard.what if isinstance(read.heard, Heard) else read.heard.code for read in reads] == [
        b"one",
        "nobody's",
        b"two",
        "rubbish",
        "key-unknown",
        "decision-failed",
        b"three",
    ]
    assert [read.delivery.body for read in reads] == [body if body != b"unsigned" else b"" for body in BODIES]


def test_nothing_is_read_of_nothing() -> None:
    assert shell_of(_Steps()).read([]) == []
