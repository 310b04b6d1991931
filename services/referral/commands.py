"""What staff and the clock ask of the desk: a rule of the domain, and what it has to look at."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias
from uuid import UUID

from services.referral.domain.cases import CLOCK, Actor
from services.referral.domain.expiring import expire
from services.referral.domain.ruling import Act, Ruling
from services.referral.domain.waiting import say_now
from services.referral.known import About, Known
from shared.contracts.ids import CaseId, ReferralId, StaffId
from shared.values import dataclass

Rule: TypeAlias = Callable[[Known[Any], Act], Ruling[Any]]
"""A rule of the domain, with all but what is known and who acts already given."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something that a member of staff, or the clock, does about what the key names, which must be there."""

    by: Actor
    about: About
    rule: Rule
    whole: bool = False
    """Whether the rule looks at grants, at the case's documents and at its other referrals."""
    beside: CaseId | None = None
    """Another case that it names, which must be there as well."""
    unsaid: bool = False
    """Whether the rule looks at what could not be said so far."""
    makes: ReferralId | None = None
    """The referral that the rule makes, where the key names the case that it starts from."""

    def ids(self, key: UUID) -> Mapping[str, UUID]:
        """Return the ids by which operators find it."""
        return {f"{self.about}_id": key} | ({"referral_id": self.makes} if self.makes else {})


@dataclass(frozen=True, slots=True)
class NewCase:
    """A member of staff opens a case: there is nothing to look at, and no key for it yet."""

    by: StaffId
    case: CaseId
    about: About = About.CASE

    def ids(self, key: UUID) -> Mapping[str, UUID]:
        """Return the ids by which operators find it."""
        return {"case_id": key}


LOOK_AT_CLOCKS: Final = Command(CLOCK, About.REFERRAL, lambda known, act: expire(known.thing, act))
"""The clock looks at one referral."""

SAY_WHAT_WAITS: Final = Command(
    CLOCK, About.REFERRAL, lambda known, act: say_now(known.thing, known.unsaid, act), unsaid=True
)
"""What was decided about one referral, and could not be said, is said."""
