"""Facts on their way to notify: many in a letter, one on a line.

A message costs the broker and both its ends the same whether it says one thing or fifty, so what a batch tells leaves
together. Each fact keeps its own id and its own bytes, and notify deals with each by itself.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Final
from uuid import UUID

from shared.contracts.codes import Urgency
from shared.contracts.facts import Audience, Fact, FactCode
from shared.contracts.ids import FactId
from shared.messaging import places
from shared.messaging.desk import Said
from shared.messaging.outbox import Letter
from shared.messaging.places import Broker
from shared.uuids import random_uuid

LINES: Final = "application/x-ndjson"
"""The content type of facts: a JSON object on each line."""

FACTS_IN_A_LETTER: Final = 50


def fact_letters(speaker: str, said: Iterable[Said]) -> list[Letter]:
    """Return the letters in which ``speaker``, a service, brings to notify what of ``said`` is facts, in order."""
    lines = (fact_line(each.what, each.traceparent) for each in said if isinstance(each.what, Fact))
    letters, exchange = [], places.node_exchange(speaker)
    while together := list(islice(lines, FACTS_IN_A_LETTER)):
        body = b"\n".join(together)
        letters.append(Letter(random_uuid(), Broker.NODE, exchange, places.NOTIFY, {}, LINES, body))
    return letters


def lines_of(body: bytes) -> Sequence[bytes]:
    """Return the lines of a letter, each a fact's own bytes; at least one."""
    return body.split(b"\n")


def parked_fact(held: UUID, at: datetime) -> Fact:
    """Return the fact that tells an operator that a message is kept back."""
    return Fact(
        id=FactId(random_uuid()),
        code=FactCode.MESSAGE_PARKED,
        subject=held,
        urgency=Urgency.URGENT,
        audience=Audience.OPERATOR,
        at=at,
    )


def fact_line(fact: Fact, traceparent: str | None) -> bytes:
    """Return ``fact`` as JSON, which has no line break in it."""
    leaving = fact if traceparent is None else fact.model_copy(update={"traceparent": traceparent})
    return leaving.__pydantic_serializer__.to_json(leaving, exclude_none=True)
