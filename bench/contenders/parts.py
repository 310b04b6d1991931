"""The parts of a message's way through a receiver, as a profile tells them apart: by file and function."""

from collections.abc import Sequence
from types import FrameType
from typing import Final

OTHER: Final = "event loop and the rest"

PARTS: Final[Sequence[tuple[str, Sequence[str]]]] = (
    ("check the signature", ("sealing/keys.py:holds", "sealing/envelope.py:verify")),
    ("open the envelope", ("sealing/envelope.py:open_body",)),
    ("take the envelope apart", ("sealing/envelope.py:parse",)),
    ("decode the event", ("contracts/exchange.py:decode",)),
    ("encrypt papers and entries", ("storage/vault.py:",)),
    ("make rows", ("referral/store/",)),
    ("decide", ("referral/domain/", "referral/hears.py:decide", "referral/keeping.py:kept")),
    ("audit leaves", ("shared/audit/",)),
    ("PostgreSQL client", ("/asyncpg/", "shared/storage/pool.py:")),
    (
        "publish and confirm",
        ("aiormq/channel.py:basic_publish", "aio_pika/exchange.py:", "messaging/post.py:", "messaging/publisher.py:"),
    ),
    ("AMQP client", ("/aiormq/", "/pamqp/", "/aio_pika/")),
    ("FastStream", ("/faststream/", "/fast_depends/")),
    ("metrics and traces", ("shared/telemetry/", "/prometheus_client/", "/opentelemetry/")),
    ("desk", ("services/referral/",)),
    ("shell", ("shared/messaging/",)),
    ("handler", ("bench/contenders/",)),
)
"""Names, and the places that they are; of the innermost frame that is in any of them, the first counts."""

NAMES: Final = (*(name for name, _ in PARTS), OTHER)


def part_of(frame: FrameType | None) -> str:
    """Return the part in which the innermost frame that belongs to one is."""
    while frame is not None:
        place = f"{frame.f_code.co_filename}:{frame.f_code.co_name}"
        for name, places in PARTS:
            if any(each in place for each in places):
                return name
        frame = frame.f_back
    return OTHER
