"""Members of staff as the decisions see them: who has which duty, and who can be reached by mail."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from services.notify.domain.who import Person
from shared.contracts.facts import Audience
from shared.staff import Role, StaffBook, StaffMember

DUTIES: Final[Mapping[Role, Audience]] = MappingProxyType(
    {
        Role.CASEWORKER: Audience.CASEWORKERS,
        Role.COORDINATOR: Audience.COORDINATOR,
        Role.OPERATOR: Audience.OPERATOR,
    }
)
"""Which audience a role belongs to. The other roles are told of nothing."""


def people(book: StaffBook) -> tuple[Person, ...]:
    """Return everybody of ``book``."""
    return tuple(
        Person(
            id=member.id,
            duties=duties(member),
            has_mail=member.email is not None,
        )
        for member in book.members
    )


def duties(member: StaffMember) -> frozenset[Audience]:
    """Return the audiences that ``member`` is one of; who has none is told of nothing."""
    return frozenset(DUTIES[role] for role in member.roles if role in DUTIES)
