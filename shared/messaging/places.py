"""What exchanges and queues are called: the one place that the services and the topology share.

Nothing personal and no id of a person, a referral or a message is ever part of a name or a routing key: they become
span names and metric labels, and the broker's operator sees them.
"""

from enum import StrEnum
from typing import Final

from shared.contracts.ids import OrganisationId
from shared.contracts.services import Service


class Broker(StrEnum):
    """The two connections of a service, as metrics, logs and the outbox call them."""

    NODE = "node"
    """The node's own virtual host, where its services speak to one another."""
    EXCHANGE = "exchange"
    """Where organisations speak to one another."""


NODE_EXCHANGE: Final = "node"
"""Direct exchange of a node's own virtual host, keyed by the service that is spoken to."""
REFERRAL: Final = Service.REFERRAL.value
NOTIFY: Final = Service.NOTIFY.value

VERDICT: Final = "relais-verdict"
"""The header with which intake hands on what it has let in …"""
VERIFIED: Final = "verified"
"""… and the only value that referral takes."""


def from_exchange(organisation: OrganisationId) -> str:
    """Return the exchange that only ``organisation`` writes."""
    return f"from.{organisation}"


def to_queue(organisation: OrganisationId) -> str:
    """Return the queue that only ``organisation`` reads."""
    return f"to.{organisation}"


def node_queue(service: str) -> str:
    """Return the queue of ``referral`` or ``notify`` on the node's virtual host."""
    return f"{service}.in"


def parked_queue(name: str) -> str:
    """Return the dead-letter queue of an organisation on the exchange, or of ``referral`` or ``notify`` on a node."""
    return f"parked.{name}"
