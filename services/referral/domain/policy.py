"""The gate: what may leave, to whom, for what, and why the rest may not. Nothing personal leaves around it.

No category leaves without a grant of the person that names this recipient, this category and this purpose and is in
force now. Two bases may stand in for a grant, and both are recorded by name: the protection of a child, and a risk to
life. These two are rules only so far: no route records such a decision, so that nothing leaves on them yet. Whatever
the gate does not recognise stays: it lists reasons to let go, never reasons to keep back.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from services.referral.domain.clocks import Hours
from services.referral.domain.grants import Grant
from shared.contracts.codes import (
    AgeBand,
    Category,
    GrantedBy,
    LawfulBasis,
    Purpose,
    RecipientKind,
    ReferralKind,
    TransferBasis,
)
from shared.contracts.countries import EEA
from shared.contracts.event_data import Terms
from shared.contracts.ids import OrganisationId, StaffId
from shared.contracts.packet import IDENTIFYING
from shared.values import dataclass


class Stage(StrEnum):
    """How far the recipient has come."""

    DECIDING = "deciding"
    ACCEPTED = "accepted"


class Withheld(StrEnum):
    """Why a category stays: of several reasons, the one that has to be dealt with first."""

    NO_AGREEMENT = "no-agreement"
    IDENTITY_BEFORE_ACCEPTANCE = "identity-before-acceptance"
    NO_GRANT = "no-grant"
    GRANT_WITHDRAWN = "grant-withdrawn"
    GRANT_ENDED = "grant-ended"
    GRANT_NOT_BEGUN = "grant-not-begun"
    NOT_EXPLAINED = "grant-not-explained"
    CHILD_NEEDS_GUARDIAN = "child-needs-guardian"
    PURPOSE_NOT_GRANTED = "purpose-not-granted"
    AUTHORITY_NOT_GRANTED = "authority-not-granted"
    NO_TRANSFER_BASIS = "no-transfer-basis"


@dataclass(frozen=True, slots=True)
class Recipient:
    """The organisation that would receive, as the directory and the agreement describe it."""

    organisation: OrganisationId
    kind: RecipientKind
    agreed: bool
    """Whether an agreement with it is in force now, and it is not frozen."""
    kinds: frozenset[ReferralKind]
    """Which kinds of referral the agreement lets us send it."""
    hours: Hours
    """When it works, as far as that is known here."""
    transfer_basis: TransferBasis | None = None
    """What the agreement states, where the organisation is outside the EU/EEA."""

    @property
    def in_eea(self) -> bool:
        """Whether the GDPR applies where the organisation is; its id ends in its country."""
        return self.organisation[-2:].upper() in EEA


@dataclass(frozen=True, slots=True)
class ChildProtection:
    """A recorded decision that a child must be protected by telling one recipient certain things."""

    recipient: OrganisationId
    categories: frozenset[Category]
    purposes: frozenset[Purpose]
    decided_by: StaffId
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class RiskToLife:
    """A recorded decision that a life is at stake; why is written in the case."""

    recipient: OrganisationId
    decided_by: StaffId
    seconded_by: StaffId
    decided_at: datetime
    until: datetime
    """When it must have been reviewed; it covers nothing from then on."""


VITAL = frozenset({Category.RISK, Category.SAFE_CONTACT})
"""All that may go without a grant when a life is at stake."""

_AUTHORITY_PURPOSE: Mapping[RecipientKind, Purpose] = MappingProxyType(
    {RecipientKind.POLICE: Purpose.POLICE, RecipientKind.IMMIGRATION: Purpose.AUTHORITIES},
)
_FOR_A_CHILD = frozenset({GrantedBy.GUARDIAN, GrantedBy.AD_HOC_ADMINISTRATOR})


@dataclass(frozen=True, slots=True)
class Grounds:
    """Everything on which a disclosure may rest."""

    recipient: Recipient
    age: AgeBand
    purpose: Purpose = Purpose.SUPPORT
    grants: tuple[Grant, ...] = ()
    child_protection: tuple[ChildProtection, ...] = ()
    risk_to_life: tuple[RiskToLife, ...] = ()


@dataclass(frozen=True, slots=True)
class Cover:
    """Why a category may go."""

    basis: LawfulBasis
    until: datetime | None = None
    grant: Grant | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """The gate's answer: every category that was asked for is in exactly one of the two."""

    goes: Mapping[Category, Cover]
    stays: Mapping[Category, Withheld]

    @property
    def whole(self) -> bool:
        """Whether everything that was asked for may go."""
        return not self.stays

    def terms(self, purpose: Purpose) -> Terms:
        """Return the conditions under which the recipient gets it: the narrowest of all that it rests on."""
        covers = self.goes.values()
        allowed = [cover.grant.purposes if cover.grant else frozenset({purpose}) for cover in covers]
        return Terms(
            purposes=frozenset({purpose}).union(frozenset(Purpose).intersection(*allowed) if allowed else ()),
            until=min((cover.until for cover in covers if cover.until is not None), default=None),
            feedback=bool(covers) and all(cover.grant is not None and cover.grant.feedback for cover in covers),
        )


NOTHING_GOES = Release(MappingProxyType({}), MappingProxyType({}))
"""The gate's answer where it was not asked."""


def release(
    wanted: Iterable[Category],
    grounds: Grounds,
    *,
    stage: Stage,
    identity_reason: bool,
    at: datetime,
) -> Release:
    """Say which of the ``wanted`` categories may go at ``at``, and why the others may not.

    ``identity_reason`` tells whether it was stated why the recipient must know who it is in order to decide.
    """
    goes: dict[Category, Cover] = {}
    stays: dict[Category, Withheld] = {}
    for category in dict.fromkeys(wanted):
        answer = _weigh(category, grounds, at)
        if isinstance(answer, Cover) and _too_early(category, answer, stage, identity_reason=identity_reason):
            answer = Withheld.IDENTITY_BEFORE_ACCEPTANCE
        if isinstance(answer, Cover):
            goes[category] = answer
        else:
            stays[category] = answer
    return Release(MappingProxyType(goes), MappingProxyType(stays))


def _too_early(category: Category, cover: Cover, stage: Stage, *, identity_reason: bool) -> bool:
    """Tell whether a category that identifies would go before the recipient has said that it will help."""
    if stage is Stage.ACCEPTED or category not in IDENTIFYING or identity_reason:
        return False
    return cover.basis is not LawfulBasis.RISK_TO_LIFE


def _weigh(category: Category, grounds: Grounds, at: datetime) -> Cover | Withheld:
    if not grounds.recipient.agreed:
        return Withheld.NO_AGREEMENT
    at_stake = [basis for basis in grounds.risk_to_life if _life_at_stake(basis, grounds.recipient, at)]
    if at_stake and category in VITAL:
        return Cover(LawfulBasis.RISK_TO_LIFE, until=at_stake[0].until)
    if _child_protected(category, grounds, at):
        return _if_it_may_cross(Cover(LawfulBasis.CHILD_PROTECTION), grounds.recipient)
    grants = [grant for grant in grounds.grants if grant.recipient == grounds.recipient.organisation]
    covering = [grant for grant in grants if category in grant.categories]
    if not covering:
        return Withheld.NO_GRANT
    return _best(grounds, covering, at)


def _best(grounds: Grounds, covering: Sequence[Grant], at: datetime) -> Cover | Withheld:
    """Return the cover that lasts longest of the grants that allow it, or what is missing to the nearest one."""
    answers = [_of_one(grounds, grant, at) for grant in covering]
    allowed = [answer for answer in answers if isinstance(answer, Cover)]
    if allowed:
        return max(allowed, key=lambda cover: (cover.until is None, cover.until or at))
    order = list(Withheld)
    return max((answer for answer in answers if isinstance(answer, Withheld)), key=order.index)


def _of_one(grounds: Grounds, grant: Grant, at: datetime) -> Cover | Withheld:
    """Say whether one grant for this recipient and category holds now and for this purpose."""
    missing = _not_in_force(grant, at)
    if missing is not None:
        return missing
    if grounds.age.is_child and grant.given_by not in _FOR_A_CHILD:
        return Withheld.CHILD_NEEDS_GUARDIAN
    if grounds.purpose not in grant.purposes:
        return Withheld.PURPOSE_NOT_GRANTED
    if not _authority_allowed(grounds, grant.purposes):
        return Withheld.AUTHORITY_NOT_GRANTED
    return _if_it_may_cross(Cover(LawfulBasis.GRANT, grant.until, grant), grounds.recipient)


def _not_in_force(grant: Grant, at: datetime) -> Withheld | None:
    if grant.withdrawn_at is not None:
        return Withheld.GRANT_WITHDRAWN
    if grant.until is not None and at >= grant.until:
        return Withheld.GRANT_ENDED
    if at < grant.begins:
        return Withheld.GRANT_NOT_BEGUN
    return None if grant.explained else Withheld.NOT_EXPLAINED


def _authority_allowed(grounds: Grounds, granted: frozenset[Purpose]) -> bool:
    """Tell whether the recipient is no authority, or the person allowed that very kind of authority to know."""
    needed = _AUTHORITY_PURPOSE.get(grounds.recipient.kind)
    return needed is None or (needed in granted and grounds.purpose is needed)


def _life_at_stake(basis: RiskToLife, recipient: Recipient, at: datetime) -> bool:
    """Tell whether two members of staff decided it, for this recipient, and the decision still holds."""
    return (
        basis.recipient == recipient.organisation
        and basis.decided_by != basis.seconded_by
        and basis.decided_at <= at < basis.until
    )


def _child_protected(category: Category, grounds: Grounds, at: datetime) -> bool:
    return grounds.age.is_child and any(
        basis.recipient == grounds.recipient.organisation
        and basis.decided_at <= at
        and category in basis.categories
        and grounds.purpose in basis.purposes
        and _authority_allowed(grounds, basis.purposes)
        for basis in grounds.child_protection
    )


def _if_it_may_cross(cover: Cover, recipient: Recipient) -> Cover | Withheld:
    """Outside the EU/EEA the agreement must state a transfer basis, or the person must have been told."""
    told = cover.grant is not None and cover.grant.told_of_transfer
    return cover if recipient.in_eea or recipient.transfer_basis is not None or told else Withheld.NO_TRANSFER_BASIS
