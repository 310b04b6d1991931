"""Traps that are closed by not using something: docs/architecture/messaging.md, numbers 8, 11, 12 and 15."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

NEVER = {
    "TestRabbitBroker": "has no acknowledgements, redelivery, dead-lettering or confirms",
    "ExceptionMiddleware": "swallows, which acknowledges",
    "faststream.rabbit.fastapi": "is deprecated",
    "faststream.asgi": "serves a page that publishes to the broker",
    "ACK_FIRST": "acknowledges what is not done yet",
    "immediate=True": "is refused by the broker",
    "NACK_ON_ERROR": "is a hot loop",
    "x-ha-policy": "is a mirrored classic queue",
    "x-queue-mode": "is a lazy classic queue",
    "no_ack=True": "loses what is being worked on",
}
CODE = [
    path
    for folder in ("shared", "services", "deploy", "tests/support")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def found(text: str) -> list[str]:
    """Return what of the list stands in ``text``."""
    return [word for word in NEVER if re.search(rf"(?<![\w]){re.escape(word)}", text)]


def test_none_of_them_is_used() -> None:
    used = {str(path.relative_to(ROOT)): words for path in CODE if (words := found(path.read_text(encoding="utf-8")))}
    assert used == {}


@pytest.mark.parametrize("word", NEVER)
def test_each_would_be_found(word: str) -> None:
    assert found(f"broker = {word}\n") == [word]
