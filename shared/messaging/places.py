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


PARKED_EXCHANGE: Final = "parked"
"""Through it the broker parks what it gives up on; nobody else may write to it."""
FORMER_EXCHANGE: Final = "node"
"""To it intake and referral both wrote before each had an exchange of its own. Nobody may write to it any more."""
INTAKE: Final = Service.INTAKE.value
REFERRAL: Final = Service.REFERRAL.value
NOTIFY: Final = Service.NOTIFY.value

VERDICT: Final = "relais-verdict"
"""The header with which intake hands on what it has let in …"""
VERIFIED: Final = "verified"
"""… and the only value that referral takes."""


def from_exchange(organisation: OrganisationId) -> str:
    """Return the exchange that only ``organisation`` writes."""
    return f"from.{organisation}"


def to_queues(organisation: OrganisationId) -> str:
    """Return what the queues that only ``organisation`` reads are called together: their names begin with it."""
    return f"to.{organisation}"


def to_queue(organisation: OrganisationId, sender: OrganisationId) -> str:
    """Return the queue that only ``organisation`` reads and only ``sender`` reaches."""
    return f"{to_queues(organisation)}.from.{sender}"


def node_exchange(service: str) -> str:
    """Return the exchange that only ``service`` writes on the node's virtual host, keyed by who is spoken to."""
    return f"from.{service}"


def node_queue(service: str) -> str:
    """Return the queue of ``referral`` or ``notify`` on the node's virtual host."""
    return f"{service}.in"


def parked_queue(name: str) -> str:
    """Return the dead-letter queue of an organisation on the exchange, or of ``referral`` or ``notify`` on a node."""
    return f"parked.{name}"
