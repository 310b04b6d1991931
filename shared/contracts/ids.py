"""Typed identifiers: a bare ``str`` or ``UUID`` never says whose number it is.

Every id is a slug that its owner chose or a UUID in the form of RFC 9562, version 4: random, or, where a request has an
idempotency key, hashed from it and not to be told from random. None is derived from a person, and none tells when or in
which order things were made.
"""

from typing import Annotated, NewType
from uuid import UUID

from pydantic import StringConstraints

ORGANISATION_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*-[a-z]{2}$"
"""A lower-case slug that ends in the ISO 3166 country, such as ``ccem-fr``."""

OrganisationId = NewType("OrganisationId", str)
StaffId = NewType("StaffId", str)
KeyId = NewType("KeyId", str)

MessageId = NewType("MessageId", UUID)
FactId = NewType("FactId", UUID)
ReportId = NewType("ReportId", UUID)
CaseId = NewType("CaseId", UUID)
GrantId = NewType("GrantId", UUID)
ReferralId = NewType("ReferralId", UUID)
"""What both organisations call a referral; the sender chooses it."""

Alias = NewType("Alias", UUID)
"""What one organisation's own people call a referral: random, and told to no other organisation."""

ConversationId = NewType("ConversationId", UUID)

Organisation = Annotated[OrganisationId, StringConstraints(pattern=ORGANISATION_PATTERN, max_length=40)]
"""An organisation id as a field of a model: checked where it enters."""

Staff = Annotated[StaffId, StringConstraints(pattern=r"^[a-z0-9]+([.-][a-z0-9]+)*$", max_length=40)]
"""A member of staff, by the name they sign in with."""


def public_number(subject: UUID) -> str:
    """Return the short number that people of one organisation say on the telephone, such as ``R-4F7A-91C2``.

    It is cut from a random id of our own, so that it says nothing about the person, the day or how many came before.
    """
    digits = subject.hex[:8].upper()
    return f"R-{digits[:4]}-{digits[4:]}"
