"""What staff and the clock ask of the desk: a rule of the domain, and what it has to look at.

What must never happen: a rule for one kind of thing is applied to another. Each kind has a constructor of its own, so
that mypy refuses it.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, Self, TypeAlias, TypeVar
from uuid import UUID

from services.referral.domain.cases import CLOCK, Actor, Case
from services.referral.domain.expiring import expire
from services.referral.domain.leaving import Today
from services.referral.domain.referral import Referral
from services.referral.domain.repeating import say_again
from services.referral.domain.reports import ReportFile
from services.referral.domain.ruling import Act, Ruling
from services.referral.known import About, Erased, Known
from services.referral.recipients import Recipients
from shared.contracts.ids import CaseId, ReferralId, StaffId
from shared.values import dataclass

Thing = TypeVar("Thing")
State = TypeVar("State")

Rule: TypeAlias = Callable[[Known[Thing], Act], Ruling[State]]
"""A rule of the domain, with all but what is known and who acts already given."""
ReferralRule: TypeAlias = Callable[[Known[Referral] | Erased[Referral], Act], Ruling[Referral]]
"""One about a referral: what is owed goes on when its case was erased."""


class Looks(StrEnum):
    """What a rule looks at besides the thing that its command names; ``loading.py`` brings it."""

    AT_IT_ALONE = "it-alone"
    AT_WHAT_IS_SAID = "what-is-said"
    """The papers of our events that are not proved, and what the gate asks of the case."""
    AT_CONSENT = "consent"
    """The grants of its case and its other referrals, locked. No document is opened: taking back waits for none."""
    AT_THE_CASE = "the-case"
    """Its grants, its documents and its other referrals, locked."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something that a member of staff, or the clock, does about what the key names, which must be there.

    It is made by one of its constructors.
    """

    by: Actor
    about: About
    rule: Callable[[Any, Act], Ruling[Any]]
    looks: Looks = Looks.AT_IT_ALONE
    beside: CaseId | None = None
    """Another case that it names, which must be there as well."""
    makes: ReferralId | None = None
    """The referral that the rule makes, where the key names the case that it starts from."""

    @classmethod
    def about_referral(cls, by: Actor, rule: ReferralRule, *, looks: Looks = Looks.AT_IT_ALONE) -> Self:
        """Do something about a referral."""
        return cls(by, About.REFERRAL, rule, looks)

    @classmethod
    def about_report(cls, by: Actor, rule: Rule[ReportFile, ReportFile], *, beside: CaseId | None = None) -> Self:
        """Do something about a report."""
        return cls(by, About.REPORT, rule, beside=beside)

    @classmethod
    def about_case(cls, by: Actor, rule: Rule[Case, Case], *, looks: Looks = Looks.AT_IT_ALONE) -> Self:
        """Do something about a case."""
        return cls(by, About.CASE, rule, looks)

    @classmethod
    def offering(cls, by: Actor, referral: ReferralId, rule: Rule[Case, Referral]) -> Self:
        """Make a referral, which starts from a case."""
        return cls(by, About.CASE, rule, Looks.AT_THE_CASE, makes=referral)

    @property
    def becomes(self) -> About:
        """What the rule's next state is."""
        return self.about if self.makes is None else About.REFERRAL

    @property
    def needs_key(self) -> bool:
        """Whether the rule looks at what is gone when the key of its case, or of a report, was destroyed."""
        return self.about is not About.REFERRAL or self.looks is Looks.AT_THE_CASE

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


LOOK_AT_CLOCKS: Final = Command.about_referral(CLOCK, lambda known, act: expire(known.thing, act))
"""The clock looks at one referral."""


def saying_again(recipients: Recipients) -> Command:
    """Say again what nothing proves to have come to the partner, which is what ``recipients`` have it be today."""

    def rule(known: Known[Referral] | Erased[Referral], act: Act) -> Ruling[Referral]:
        to = recipients.of(known.thing.partner, act.at)
        return say_again(known.thing, known.own, act, Today(known.file, to))

    return Command.about_referral(CLOCK, rule, looks=Looks.AT_WHAT_IS_SAID)
