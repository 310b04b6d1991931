"""Two organisations' signed consent to exchange: from when until when, what each is and may send, on what basis.

Both identity keys stand in the agreement, and both sign it. So the agreement is also where each side pins the other's
identity: whoever trusts its own identity key can believe the partner's, and a changed identity needs a new agreement.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from shared.audit.note import Verifier
from shared.contracts.codes import RecipientKind, ReferralKind, TransferBasis
from shared.contracts.ids import Organisation, OrganisationId
from shared.sealing.codes import DirectoryCode, DirectoryError, DocumentCode, DocumentError, KeyRefusedError
from shared.sealing.documents import note_signer, open_document, parse_identity, sign_document
from shared.sealing.fields import Statement, Time
from shared.sealing.keys import KeyPurpose, SigningKey

FORM: Final = "org.relais.agreement.v1"
CONCLUDED_WITHIN: Final = timedelta(weeks=8)
"""How long after its end two organisations still hear one another, so that what was under way can end (keys.md, 6)."""


class Party(Statement):
    """One side of an agreement."""

    organisation: Organisation
    kind: RecipientKind
    """What this side is to a person. Whoever signs says that it is so: an authority is given only what is for it."""
    identity: Annotated[str, Field(max_length=512)]
    """The identity key, as a C2SP verifier key: ``<organisation>/identity+<key id>+<base64>``."""
    may_send: tuple[ReferralKind, ...]
    """The kinds of referral that this side may send to the other, in alphabetical order, each once."""


class Agreement(Statement):
    """What two organisations have agreed."""

    parties: tuple[Party, Party]
    """In the alphabetical order of their ids."""
    valid_from: Time
    valid_until: Time
    transfer_basis: TransferBasis | None
    """Why data may leave the EU/EEA (GDPR, chapter V); ``null`` where none is stated."""

    @model_validator(mode="after")
    def _in_one_form(self) -> Self:
        one, other = self.parties
        if one.organisation >= other.organisation or self.valid_from >= self.valid_until:
            raise ValueError
        if any(list(party.may_send) != sorted(set(party.may_send)) for party in self.parties):
            raise ValueError
        return self

    def party(self, organisation: OrganisationId) -> Party:
        """Return the side that is ``organisation``.

        Raises:
            DirectoryError: ``agreement-none``: it is no party.
        """
        for party in self.parties:
            if party.organisation == organisation:
                return party
        raise DirectoryError(DirectoryCode.AGREEMENT_NONE)

    def partner_of(self, organisation: OrganisationId) -> Party:
        """Return the other side.

        Raises:
            DirectoryError: ``agreement-none``: ``organisation`` is no party.
        """
        one, other = self.parties
        return other if self.party(organisation) is one else one

    @property
    def heard_until(self) -> datetime:
        """When the two hear one another no longer."""
        return self.valid_until + CONCLUDED_WITHIN

    def check_in_force(self, at: datetime) -> None:
        """Refuse an agreement that does not hold at ``at``.

        Raises:
            DirectoryError: ``agreement-none`` before it begins, ``agreement-expired`` after it has ended.
        """
        if at < self.valid_from:
            raise DirectoryError(DirectoryCode.AGREEMENT_NONE)
        if at >= self.valid_until:
            raise DirectoryError(DirectoryCode.AGREEMENT_EXPIRED)


def sign_agreement(agreement: Agreement, identities: Sequence[SigningKey]) -> str:
    """Return the note of ``agreement``, signed by both parties' ``identities``, in the order of its parties."""
    signers = [
        note_signer(party.organisation, KeyPurpose.IDENTITY, identity)
        for party, identity in zip(agreement.parties, identities, strict=True)
    ]
    return sign_document(FORM, agreement, signers)


def open_agreement(note: str | bytes, us: OrganisationId, identity: Verifier) -> tuple[Agreement, Verifier]:
    """Return the agreement and the partner's identity, once we (``identity``) and the partner are seen to have signed.

    Raises:
        DocumentError: ``document-malformed``, ``document-forged``, ``document-unsigned`` or ``document-key-refused``.
    """
    agreement = open_document(Agreement, FORM, note, [identity])
    try:
        ours, theirs = agreement.party(us), agreement.partner_of(us)
        partner = parse_identity(theirs.organisation, theirs.identity)
    except DirectoryError:
        raise DocumentError(DocumentCode.MALFORMED) from None
    except KeyRefusedError:
        raise DocumentError(DocumentCode.KEY_REFUSED) from None
    if ours.identity != str(identity):
        raise DocumentError(DocumentCode.MALFORMED)
    return open_document(Agreement, FORM, note, [identity, partner]), partner
