"""Who may say what to notify: staff act on what they are told, so that nobody is told a thing in another's name. Pure.

intake can be reached from outside and knows of no referral. Whoever takes it over, or its broker user, could else call
staff away with a withdrawal of consent that nobody has made.
"""

from collections.abc import Mapping
from itertools import product
from typing import Final, TypeAlias

from shared.contracts.facts import Audience, Fact, FactCode
from shared.contracts.services import Service
from shared.messaging.places import FORMER_EXCHANGE, PARKED_EXCHANGE, node_exchange

Sayings: TypeAlias = frozenset[tuple[FactCode, Audience]]

EVERYTHING: Final[Sayings] = frozenset(product(FactCode, Audience))

MAY_SAY: Final[Mapping[str, Sayings]] = {
    node_exchange(Service.INTAKE): frozenset({(FactCode.MESSAGE_PARKED, Audience.OPERATOR)}),
    node_exchange(Service.REFERRAL): EVERYTHING,
    PARKED_EXCHANGE: EVERYTHING,  # the broker gave it up, and an operator has replayed it
    FORMER_EXCHANGE: EVERYTHING,  # from before; a release later it may go
}
"""What may be said, and to whom, by the exchange on which it came: the broker says which, and who may write there."""


def may_say(origin: str, fact: Fact) -> bool:
    """Say whether ``fact`` may come on the exchange ``origin``."""
    return (fact.code, fact.audience) in MAY_SAY.get(origin, frozenset())
