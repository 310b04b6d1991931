"""What the directory says of an organisation to which something may go, as the gate asks for it."""

from datetime import datetime

from services.referral.domain.clocks import Hours
from services.referral.domain.policy import Recipient
from shared.contracts.codes import RecipientKind
from shared.contracts.ids import OrganisationId
from shared.sealing.codes import DirectoryError
from shared.sealing.directory import Directory
from shared.values import dataclass


@dataclass(frozen=True, slots=True)
class Recipients:
    """Our partners, as recipients."""

    us: OrganisationId
    directory: Directory
    hours: Hours
    """When receivers work, as far as it is known: as we do."""

    def of(self, organisation: OrganisationId, at: datetime) -> Recipient:
        """Return what the agreement says of ``organisation``; one without any has agreed to nothing."""
        try:
            agreement = self.directory.book.agreement(organisation, at)
        except DirectoryError:
            return Recipient(organisation, RecipientKind.SUPPORT, agreed=False, kinds=frozenset(), hours=self.hours)
        return Recipient(
            organisation,
            agreement.party(organisation).kind,
            agreed=True,
            kinds=frozenset(agreement.party(self.us).may_send),
            hours=self.hours,
            transfer_basis=agreement.transfer_basis,
        )
