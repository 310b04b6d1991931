"""Who our partners are, which keys they have, and what we have agreed, as it stood when it was read. Pure.

Every key in the book was signed by an identity that we pinned, and every agreement by both sides.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from shared.audit.note import Verifier
from shared.contracts.heard import EventType
from shared.contracts.ids import KeyId, OrganisationId
from shared.contracts.services import Service
from shared.sealing.agreement import Agreement
from shared.sealing.codes import DirectoryCode, DirectoryError
from shared.sealing.documents import note_verifier
from shared.sealing.header import MAX_LIFETIME
from shared.sealing.key_document import KeyDocument, PublishedKey
from shared.sealing.keys import InboxPublicKey, KeyPurpose, VerifyKey, audit_purpose
from shared.sealing.suites import KIND_OF, Suite
from shared.values import dataclass

OPENS_AFTER_ITS_END: Final = MAX_LIFETIME
"""How long an inbox key still opens what it gets: what was sealed to it while it held has expired by then."""


@dataclass(frozen=True, slots=True)
class Book:
    """The answers, each one look into a dictionary."""

    us: OrganisationId
    documents: Mapping[OrganisationId, KeyDocument]
    agreements: Mapping[OrganisationId, Sequence[Agreement]]
    """What we have signed with each partner, at least one, in the order in which they begin; all pin one identity."""
    problems: Mapping[str, str]
    """Why a partner's files were refused: a code, by the partner's id as the file names it."""
    keys: Mapping[tuple[OrganisationId, KeyId], PublishedKey] = field(init=False)

    def __post_init__(self) -> None:
        """Put every key where one look finds it."""
        keys = {
            (organisation, published.id): published
            for organisation, document in self.documents.items()
            for published in document.keys
        }
        object.__setattr__(self, "keys", MappingProxyType(keys))

    def published(self, organisation: OrganisationId, number: KeyId) -> PublishedKey:
        """Return the key of ``organisation`` that has this id, with its purpose and its times.

        Raises:
            DirectoryError: ``organisation-unknown`` or ``key-unknown``.
        """
        published = self.keys.get((organisation, number))
        if published is None:
            known = organisation in self.documents
            raise DirectoryError(DirectoryCode.KEY_UNKNOWN if known else DirectoryCode.ORGANISATION_UNKNOWN)
        return published

    def inbox_key(self, organisation: OrganisationId, at: datetime) -> InboxPublicKey:
        """Return the key to seal to: an X-Wing key before an X25519 key, then the newest that holds at ``at``.

        Raises:
            DirectoryError: ``organisation-unknown``, or ``key-unknown`` when it has no inbox key at that time.
        """
        document = self.document(organisation)
        inbox = [
            (published.key.suite is Suite.X_WING, published.valid_from, published.key)
            for published in document.for_purpose(KeyPurpose.INBOX, at)
            if isinstance(published.key, InboxPublicKey)
        ]
        if not inbox:
            raise DirectoryError(DirectoryCode.KEY_UNKNOWN)
        return max(inbox, key=lambda candidate: candidate[:2])[2]

    def opens_until(self, organisation: OrganisationId, ids: Iterable[KeyId], suite: Suite) -> datetime | None:
        """Return until when ``organisation`` opens what is sealed to the keys ``ids`` in ``suite``.

        ``None`` where none of them is an inbox key of its that fits: it could open nothing of it.
        """
        known = (self.keys.get((organisation, number)) for number in ids)
        ends = [
            published.valid_until
            for published in known
            if published is not None and published.purpose is KeyPurpose.INBOX and published.kind is KIND_OF[suite]
        ]
        return max(ends) + OPENS_AFTER_ITS_END if ends else None

    def check_hears(self, organisation: OrganisationId, types: Iterable[EventType]) -> None:
        """Refuse what ``organisation`` does not hear.

        Raises:
            DirectoryError: ``organisation-unknown``, or ``event-type-unheard`` when its document does not name one of
                ``types``.
        """
        hears = self.document(organisation).hears
        if not all(each in hears for each in types):
            raise DirectoryError(DirectoryCode.TYPE_UNHEARD)

    def audit_verifiers(self, service: Service) -> list[Verifier]:
        """Return the public keys of our own log of ``service``, the newest first; old ones too."""
        purpose = audit_purpose(service)
        published = sorted(
            (each for each in self.document(self.us).keys if each.purpose is purpose),
            key=lambda each: each.valid_from,
            reverse=True,
        )
        keys = [each.key for each in published]
        return [note_verifier(self.us, purpose, key) for key in keys if isinstance(key, VerifyKey)]

    def document(self, organisation: OrganisationId) -> KeyDocument:
        """Return the key document of ``organisation``.

        Raises:
            DirectoryError: ``organisation-unknown``.
        """
        document = self.documents.get(organisation)
        if document is None:
            raise DirectoryError(DirectoryCode.ORGANISATION_UNKNOWN)
        return document

    def agreement(self, partner: OrganisationId, at: datetime) -> Agreement:
        """Return the agreement in force between us and ``partner`` at ``at``.

        Raises:
            DirectoryError: ``organisation-unknown``, ``agreement-none`` or ``agreement-expired``.
        """
        agreement = self.counting(partner, at)
        if agreement is None:
            raise self._not_agreed(partner)
        agreement.check_in_force(at)
        return agreement

    def counting(self, partner: OrganisationId, at: datetime) -> Agreement | None:
        """Return the agreement with ``partner`` that counts at ``at``, in force or not: the one that began last.

        Before any has begun it is the first to begin. So an older one never comes back when a newer one has ended.
        ``None`` where there is none.
        """
        signed = self.agreements.get(partner, ())
        begun = [agreement for agreement in signed if agreement.valid_from <= at]
        return begun[-1] if begun else next(iter(signed), None)

    def heard_until(self, partner: OrganisationId) -> datetime | None:
        """Return when we and ``partner`` hear one another no longer: after the agreement that begins last.

        ``None`` where there is none.
        """
        signed = self.agreements.get(partner)
        return signed[-1].heard_until if signed else None

    def check_heard(self, partner: OrganisationId, at: datetime) -> None:
        """Refuse a partner to whom nothing at all is said at ``at``.

        Raises:
            DirectoryError: ``organisation-unknown``, ``agreement-none``, or ``agreement-expired`` from
                :data:`shared.sealing.agreement.CONCLUDED_WITHIN` after the end of the last agreement on.
        """
        until = self.heard_until(partner)
        if until is None:
            raise self._not_agreed(partner)
        if at >= until:
            raise DirectoryError(DirectoryCode.AGREEMENT_EXPIRED)

    def _not_agreed(self, partner: OrganisationId) -> DirectoryError:
        known = partner in self.documents
        return DirectoryError(DirectoryCode.AGREEMENT_NONE if known else DirectoryCode.ORGANISATION_UNKNOWN)
