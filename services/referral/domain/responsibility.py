"""Who answers for the person: for every instant exactly one organisation, the same from either store.

``service`` and ``shared``: the sender, throughout. ``transfer`` and ``brokered``: the sender until the receiver
confirms that the person is there, then the receiver. While that confirmation travels the receiver already answers and
the sender still believes that it does: for a moment both look after the person, never neither.
"""

from services.referral.domain.referral import Referral
from shared.contracts.codes import ReferralKind
from shared.contracts.ids import OrganisationId

MOVES_ON_ARRIVAL = frozenset({ReferralKind.TRANSFER, ReferralKind.BROKERED})
"""The kinds that hand over responsibility."""


def responsible(referral: Referral) -> OrganisationId:
    """Return the one organisation that answers for the person now."""
    if referral.kind in MOVES_ON_ARRIVAL and referral.standing.arrived_at is not None:
        return referral.receiver
    return referral.sender
