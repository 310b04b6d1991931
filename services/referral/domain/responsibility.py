"""Who answers for the person: for every instant exactly one organisation, the same from either store.

``service`` and ``shared``: the sender, throughout. ``transfer`` and ``brokered``: the sender until the receiver
confirms that the person is there, then the receiver. While that confirmation travels the receiver already answers and
the sender still believes that it does: for a moment both look after the person, never neither.
"""

from datetime import datetime

from services.referral.domain.referral import Referral
from shared.contracts.codes import ReferralKind
from shared.contracts.ids import OrganisationId
from shared.values import dataclass

MOVES_ON_ARRIVAL = frozenset({ReferralKind.TRANSFER, ReferralKind.BROKERED})
"""The kinds that hand over responsibility."""


@dataclass(frozen=True, slots=True)
class Tenure:
    """An organisation answers for the person from ``since`` until the next tenure begins."""

    organisation: OrganisationId
    since: datetime


def responsible(referral: Referral) -> OrganisationId:
    """Return the one organisation that answers for the person now."""
    if referral.kind in MOVES_ON_ARRIVAL and referral.standing.arrived_at is not None:
        return referral.receiver
    return referral.sender


def ledger(referral: Referral) -> tuple[Tenure, ...]:
    """Return who answered for the person from when, oldest first: from the offer on, without a gap or an overlap."""
    offered_at, arrived_at = referral.standing.offered_at, referral.standing.arrived_at
    if offered_at is None:
        return ()
    first = Tenure(referral.sender, offered_at)
    if referral.kind not in MOVES_ON_ARRIVAL or arrived_at is None:
        return (first,)
    return (first, Tenure(referral.receiver, max(arrived_at, offered_at)))
