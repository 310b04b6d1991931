"""The broker's whole topology, rendered from who takes part and who hears whom. Pure.

The broker is trusted with availability and nothing else, and each of its users with as little as their work needs:

=================  ===============  ==========================  ======================
user               virtual host     reads                       writes
=================  ===============  ==========================  ======================
``x.intake``       ``x``            nothing                     ``from.intake``
``x.referral``     ``x``            referral.in, its parked     ``from.referral``
``x.notify``       ``x``            notify.in, its parked       nothing
``x.intake``       ``exchange``     ``to.x.from.*``, its parked ``from.x``
``x.referral``     ``exchange``     nothing                     ``from.x``
``x.partner``      ``exchange``     ``to.x.from.*``, its parked ``from.x``
=================  ===============  ==========================  ======================

``x.partner`` is there instead of the others for an organisation without a node of its own. Nobody may configure
anything.

On a node intake speaks to referral and notify, referral to notify, and notify to nobody (`SPOKEN_TO`). Each has an
exchange of its own, so that whoever hears a message knows from the broker who said it.

Each pair that has an agreement has a queue in each direction, ``to.y.from.x``, with a bound of its own: however much x
sends, what others send to y goes its way, and the queue says who brought a message (docs/decisions/0016).

What must never happen: a binding without an agreement. ``from.x`` is a direct exchange, so that its bindings, and
they alone, say whom x can reach; a message to anybody else comes back as unroutable. RabbitMQ consults topic
permissions on topic exchanges only; there is none of ours, and the one that every virtual host is born with is closed
to all.

Each user has a few connections and channels (`MOST`): one that is stolen or loops cannot take the broker from the
others.

Nothing is dropped: queues are quorum queues that refuse when full (``reject-publish``), and what is given up on moves
to a parked queue with at-least-once dead-lettering (RabbitMQ, "Quorum Queues"). Runs on RabbitMQ 3.10 and on 4.x:
durable quorum queues and direct exchanges only, nothing that 4.x calls deprecated.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from deploy.broker.definitions import (
    HASHING,
    Binding,
    Definitions,
    Exchange,
    Host,
    PasswordHash,
    Permission,
    Queue,
    TopicPermission,
    User,
    UserLimits,
    UserName,
    VirtualHost,
)
from shared.contracts.coded import Coded
from shared.contracts.ids import ORGANISATION_PATTERN, OrganisationId
from shared.contracts.services import Service
from shared.messaging.places import (
    PARKED_EXCHANGE,
    from_exchange,
    node_exchange,
    node_queue,
    parked_queue,
    to_queue,
    to_queues,
)

EXCHANGE_HOST: Final = VirtualHost("exchange")
"""Where organisations meet. No organisation can have this name: theirs end in a country."""
NOTHING: Final = "^$"
LONGEST_ORGANISATION: Final = 40
ANY_ORGANISATION: Final = ORGANISATION_PATTERN.strip("^$")
NEVER_GIVEN_UP: Final = 1_000_000_000
"""The delivery limit of parked queues, into which an operator may look as often as they like; RabbitMQ 4 has 20."""


class BrokerRole(StrEnum):
    """Who logs in at the broker for an organisation."""

    INTAKE = Service.INTAKE.value
    REFERRAL = Service.REFERRAL.value
    NOTIFY = Service.NOTIFY.value
    PARTNER = "partner"


OF_A_SERVICE: Final[UserLimits] = {"max-connections": 30, "max-channels": 300}
"""Ten processes of three connections, with ten channels on each: RabbitMQ counts a closed one for a moment longer."""
MOST: Final[Mapping[BrokerRole, UserLimits]] = {
    BrokerRole.INTAKE: OF_A_SERVICE,
    BrokerRole.REFERRAL: OF_A_SERVICE,
    BrokerRole.NOTIFY: OF_A_SERVICE,
    BrokerRole.PARTNER: {"max-connections": 10, "max-channels": 100},
}
"""How many connections and channels each user may have at once (RabbitMQ, "Per User Limits")."""
SPOKEN_TO: Final[Mapping[BrokerRole, tuple[BrokerRole, ...]]] = {
    BrokerRole.INTAKE: (BrokerRole.REFERRAL, BrokerRole.NOTIFY),
    BrokerRole.REFERRAL: (BrokerRole.NOTIFY,),
    BrokerRole.NOTIFY: (),
}
"""Whom each service of a node can reach on the node's virtual host."""


class TopologyCode(StrEnum):
    """Why no topology can be rendered."""

    ORGANISATION_MALFORMED = "organisation-malformed"
    ORGANISATION_TWICE = "organisation-twice"
    ORGANISATION_UNKNOWN = "organisation-unknown"
    AGREEMENT_WITH_ITSELF = "agreement-with-itself"
    PASSWORD_MISSING = "password-missing"  # noqa: S105 - a code, not a password


class TopologyError(Coded[TopologyCode]):
    """What was asked for is not a topology; it names the organisation or the user that it is about."""


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation that takes part, with a node of its own or with a system that speaks the protocol by itself."""

    organisation: OrganisationId
    has_node: bool = True

    @property
    def roles(self) -> tuple[BrokerRole, ...]:
        """Who logs in for it."""
        return (BrokerRole.INTAKE, BrokerRole.REFERRAL, BrokerRole.NOTIFY) if self.has_node else (BrokerRole.PARTNER,)


Agreement: TypeAlias = tuple[OrganisationId, OrganisationId]
"""Two organisations that hear one another: from the signing of an agreement until some weeks after its end. The order
says nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a queue holds and how often it tries, before it refuses or parks."""

    deliveries: int = 50
    messages: int = 200_000
    octets: int = 4 * 1024**3


def node_host(organisation: OrganisationId) -> VirtualHost:
    """Return the virtual host of an organisation's own node."""
    return VirtualHost(organisation)


def user_name(organisation: OrganisationId, role: BrokerRole) -> UserName:
    """Return the broker user of ``role``, such as ``ccem-fr.intake``."""
    return UserName(f"{organisation}.{role}")


def users_of(members: Iterable[Member]) -> list[UserName]:
    """Return every user that a topology of ``members`` has, hence the passwords it needs."""
    return [user_name(member.organisation, role) for member in members for role in member.roles]


def render(
    members: Collection[Member],
    agreements: Collection[Agreement],
    passwords: Mapping[UserName, PasswordHash],
    *,
    exchange_host: VirtualHost = EXCHANGE_HOST,
    limits: Limits | None = None,
) -> Definitions:
    """Return the definitions of the exchange and of every node on this broker; the same input gives the same output.

    Args:
        members: the organisations that take part.
        agreements: the pairs that hear one another; no other pair is connected.
        passwords: a hash for each of `users_of` (members).
        exchange_host: the virtual host on which they meet.
        limits: of every queue but the parked ones, which never give a message up.

    Raises:
        TopologyError: an organisation is malformed, named twice or unknown to ``members``, agrees with itself, or
            lacks a password.
    """
    ordered = sorted(members, key=lambda member: member.organisation)
    pairs = {frozenset(pair) for pair in agreements}
    _check(ordered, pairs)
    limits = limits or Limits()
    definitions = Definitions(
        vhosts=[], users=[], permissions=[], topic_permissions=[], exchanges=[], queues=[], bindings=[]
    )
    _add_host(definitions, exchange_host)
    for member in ordered:
        _add_users(definitions, member, passwords)
        _add_to_exchange(definitions, exchange_host, member, limits)
        if member.has_node:
            _add_node(definitions, member.organisation, limits)
    for pair in sorted(sorted(pair) for pair in pairs):
        for sender, receiver in (pair, pair[::-1]):
            queue = to_queue(receiver, sender)
            _add_queue(definitions, exchange_host, queue, parked_queue(receiver), limits)
            _bind(definitions, exchange_host, from_exchange(sender), queue, receiver)
    return definitions


def _check(members: list[Member], pairs: set[frozenset[OrganisationId]]) -> None:
    known: set[OrganisationId] = set()
    for member in members:
        name = member.organisation
        if re.fullmatch(ORGANISATION_PATTERN, name) is None or len(name) > LONGEST_ORGANISATION:
            raise TopologyError(TopologyCode.ORGANISATION_MALFORMED, name)
        if name in known:
            raise TopologyError(TopologyCode.ORGANISATION_TWICE, name)
        known.add(name)
    for pair in pairs:
        if len(pair) == 1:
            raise TopologyError(TopologyCode.AGREEMENT_WITH_ITSELF, next(iter(pair)))
        for name in sorted(pair - known):
            raise TopologyError(TopologyCode.ORGANISATION_UNKNOWN, name)


def _add_host(definitions: Definitions, host: VirtualHost) -> None:
    definitions["vhosts"].append(Host(name=host))
    _add_exchange(definitions, host, PARKED_EXCHANGE)


def _add_users(definitions: Definitions, member: Member, passwords: Mapping[UserName, PasswordHash]) -> None:
    for role in member.roles:
        name = user_name(member.organisation, role)
        if name not in passwords:
            raise TopologyError(TopologyCode.PASSWORD_MISSING, name)
        definitions["users"].append(
            User(
                name=name,
                password_hash=passwords[name],
                hashing_algorithm=HASHING,
                tags="",
                limits=MOST[role],
            )
        )


def _add_to_exchange(definitions: Definitions, host: VirtualHost, member: Member, limits: Limits) -> None:
    """Give the organisation its way out, its parked queue, and leave to read whatever queue leads to it."""
    organisation = member.organisation
    out, parked = from_exchange(organisation), parked_queue(organisation)
    _add_exchange(definitions, host, out)
    _add_parked(definitions, host, parked, limits)
    reader = BrokerRole.INTAKE if member.has_node else BrokerRole.PARTNER
    reads = _one_of(re.escape(parked), rf"{re.escape(to_queues(organisation))}\.from\.{ANY_ORGANISATION}")
    _allow(definitions, host, user_name(organisation, reader), reads=reads, writes=_exactly(out))
    if member.has_node:
        _allow(definitions, host, user_name(organisation, BrokerRole.REFERRAL), writes=_exactly(out))


def _add_node(definitions: Definitions, organisation: OrganisationId, limits: Limits) -> None:
    """Give the organisation's services a virtual host of their own."""
    host = node_host(organisation)
    _add_host(definitions, host)
    for role in (BrokerRole.REFERRAL, BrokerRole.NOTIFY):
        _add_parked(definitions, host, parked_queue(role), limits)
        _add_queue(definitions, host, node_queue(role), parked_queue(role), limits)
    for role, others in SPOKEN_TO.items():
        out = [node_exchange(role)] if others else []
        for name in out:
            _add_exchange(definitions, host, name)
        for other in others:
            _bind(definitions, host, node_exchange(role), node_queue(other), other)
        own = [] if role is BrokerRole.INTAKE else [node_queue(role), parked_queue(role)]
        _allow(definitions, host, user_name(organisation, role), reads=_exactly(*own), writes=_exactly(*out))


def _add_exchange(definitions: Definitions, host: VirtualHost, name: str) -> None:
    definitions["exchanges"].append(
        Exchange(name=name, vhost=host, type="direct", durable=True, auto_delete=False, internal=False, arguments={})
    )


def _add_queue(definitions: Definitions, host: VirtualHost, name: str, parked: str, limits: Limits) -> None:
    """Add a queue that gives what it gives up to the queue ``parked``."""
    to_parked: dict[str, str | int] = {
        "x-delivery-limit": limits.deliveries,
        "x-dead-letter-exchange": PARKED_EXCHANGE,
        "x-dead-letter-routing-key": parked,
        "x-dead-letter-strategy": "at-least-once",
    }
    _declare(definitions, host, name, {**_bounds(limits), **to_parked})


def _add_parked(definitions: Definitions, host: VirtualHost, name: str, limits: Limits) -> None:
    """Add a queue for what others give up; itself it never does."""
    _declare(definitions, host, name, {**_bounds(limits), "x-delivery-limit": NEVER_GIVEN_UP})
    _bind(definitions, host, PARKED_EXCHANGE, name, name)


def _bounds(limits: Limits) -> dict[str, str | int]:
    return {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-max-length": limits.messages,
        "x-max-length-bytes": limits.octets,
    }


def _declare(definitions: Definitions, host: VirtualHost, name: str, arguments: dict[str, str | int]) -> None:
    definitions["queues"].append(Queue(name=name, vhost=host, durable=True, auto_delete=False, arguments=arguments))


def _bind(definitions: Definitions, host: VirtualHost, source: str, queue: str, key: str) -> None:
    definitions["bindings"].append(
        Binding(source=source, vhost=host, destination=queue, destination_type="queue", routing_key=key, arguments={})
    )


def _allow(
    definitions: Definitions, host: VirtualHost, user: UserName, *, reads: str = NOTHING, writes: str = NOTHING
) -> None:
    definitions["permissions"].append(Permission(user=user, vhost=host, configure=NOTHING, write=writes, read=reads))
    definitions["topic_permissions"].append(
        TopicPermission(user=user, vhost=host, exchange="amq.topic", write=NOTHING, read=NOTHING)
    )


def _exactly(*names: str) -> str:
    """Return a regular expression for these names and no other."""
    return _one_of(*map(re.escape, names))


def _one_of(*patterns: str) -> str:
    """Return a regular expression for what is wholly one of these; RabbitMQ takes a part of a name for a match."""
    return f"^(?:{'|'.join(patterns)})$" if patterns else NOTHING
