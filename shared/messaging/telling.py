"""Facts on their way to notify: what every service says in the same way."""

from datetime import datetime
from uuid import UUID

from shared.contracts.codes import Urgency
from shared.contracts.facts import Audience, Fact, FactCode
from shared.contracts.ids import FactId
from shared.messaging import places
from shared.messaging.outbox import JSON, Letter
from shared.messaging.places import Broker
from shared.uuids import random_uuid


def parked_fact(held: UUID, at: datetime) -> Fact:
    """Return the fact that tells an operator that a message is kept back."""
    return Fact(
        id=FactId(random_uuid()),
        code=FactCode.MESSAGE_PARKED,
        subject=held,
        urgency=Urgency.STANDARD,
        audience=Audience.OPERATOR,
        at=at,
    )


def fact_letter(fact: Fact, traceparent: str | None) -> Letter:
    """Return the letter that brings ``fact`` to notify."""
    body = fact.model_dump_json().encode()
    return Letter(fact.id, Broker.NODE, places.NODE_EXCHANGE, places.NOTIFY, trace_header(traceparent), JSON, body)


def trace_header(traceparent: str | None) -> dict[str, str]:
    """Return the header that says in which trace something was decided (W3C Trace Context); empty without one."""
    return {"traceparent": traceparent} if traceparent else {}
