"""What a case holds, as far as a decision to disclose looks at it.

Only what was written here is cut into packets. What a partner has disclosed stays under that partner's terms and is
passed on by no grant of ours.
"""

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType

from services.referral.domain.grants import Grant
from services.referral.domain.referral import Referral
from shared.contracts.codes import AgeBand, Category
from shared.contracts.packet import Packet, Summary
from shared.contracts.personal import Personal
from shared.values import dataclass

NO_PARTS: Mapping[Category, Personal] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case, opened at what counts."""

    grants: tuple[Grant, ...] = ()
    """All that the person has allowed, what was taken back too."""
    parts: Mapping[Category, Personal] = field(default_factory=lambda: NO_PARTS, repr=False)
    """The newest part of each category."""
    legs: tuple[Referral, ...] = ()
    """The referrals of the case, but for the one that the decision is about."""
    gone: frozenset[Category] = frozenset()
    """What has gone to the receiver of the one that the decision is about."""

    @property
    def age(self) -> AgeBand:
        """The person's age band, as far as it is known: in doubt, a child is protected."""
        summary = self.parts.get(Category.SUMMARY)
        return summary.age_band if isinstance(summary, Summary) else AgeBand.IN_DOUBT

    def lacks(self, wanted: frozenset[Category]) -> frozenset[Category]:
        """Return what of ``wanted`` nobody has written yet."""
        return wanted - self.parts.keys()

    def packet(self, wanted: frozenset[Category]) -> Packet:
        """Return a packet of exactly what is ``wanted``; all of it is there."""
        return Packet.model_validate({category.value: self.parts[category] for category in wanted})
