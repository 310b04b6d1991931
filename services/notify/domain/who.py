"""Who must know: a fact names an audience, and this finds the people.

A fact never vanishes for want of a reader: where nobody is there for an audience, the next one that can act is told, in
an order that is written down once, below. What must never happen: somebody is told who has none of these duties, such
as a volunteer.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from shared.contracts.facts import Audience, Fact
from shared.contracts.ids import StaffId
from shared.values import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """A member of staff, as far as it matters who is told, and how."""

    id: StaffId
    duties: frozenset[Audience]
    """The audiences that they are one of. Being an assignee is not among them: a fact says that."""
    has_mail: bool


INSTEAD: Final[Mapping[Audience, tuple[Audience, ...]]] = MappingProxyType(
    {
        Audience.ASSIGNEE: (Audience.CASEWORKERS, Audience.COORDINATOR, Audience.OPERATOR),
        Audience.CASEWORKERS: (Audience.CASEWORKERS, Audience.COORDINATOR, Audience.OPERATOR),
        Audience.COORDINATOR: (Audience.COORDINATOR, Audience.CASEWORKERS, Audience.OPERATOR),
        Audience.OPERATOR: (Audience.OPERATOR, Audience.COORDINATOR, Audience.CASEWORKERS),
    }
)
"""Whom to look for, in this order, until somebody is there."""


def who(fact: Fact, people: Sequence[Person]) -> tuple[Person, ...]:
    """Return whom to tell of ``fact``, each once, in the order of ``people``; nobody only where nobody has a duty."""
    if fact.audience is Audience.ASSIGNEE:
        assigned = tuple(person for person in people if person.id == fact.assignee and person.duties)
        if assigned:
            return assigned
    return on_duty(fact.audience, people)


def present(people: Sequence[Person]) -> list[StaffId]:
    """Return who can be told of anything at all."""
    return [person.id for person in people if person.duties]


def on_duty(audience: Audience, people: Sequence[Person]) -> tuple[Person, ...]:
    """Return everybody who is there for ``audience``, or for the first one after it that has somebody."""
    for duty in INSTEAD[audience]:
        found = tuple(person for person in people if duty in person.duties)
        if found:
            return found
    return ()
