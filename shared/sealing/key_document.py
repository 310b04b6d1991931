"""What an organisation tells its partners about itself: its keys, and which events it hears.

The document is signed by the organisation's identity key, which partners have pinned in an agreement. A key becomes
known in no other way: nobody takes a key from a message.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from shared.audit.note import Verifier
from shared.contracts.heard import EventType
from shared.contracts.ids import KeyId, Organisation, OrganisationId
from shared.sealing.codes import DocumentCode, DocumentError, KeyRefusedError
from shared.sealing.documents import note_signer, open_document, sign_document
from shared.sealing.fields import Base64, Statement, Time
from shared.sealing.keys import KEY_ID_PATTERN, KINDS_FOR, KeyPurpose, PublicKey, SigningKey, enrol
from shared.sealing.suites import KeyKind

FORM: Final = "org.relais.keys.v1"
MAX_KEYS: Final = 256
"""Room for ten years and more of audit and receipt keys, which stay for what they once signed."""
MAX_TYPES: Final = 256
MAX_SERIAL: Final = 2**53 - 1
"""The largest whole number that every JSON reader keeps exact (RFC 8259, 6)."""


class PublishedKey(Statement):
    """One key of an organisation."""

    purpose: KeyPurpose
    kind: KeyKind
    id: Annotated[KeyId, Field(pattern=rf"^{KEY_ID_PATTERN}$")]
    public: Base64
    valid_from: Time
    valid_until: Time

    @cached_property
    def key(self) -> PublicKey:
        """The key, loaded when it is first used.

        Raises:
            KeyRefusedError: nobody may trust a key like this.
        """
        return enrol(self.kind, self.public)

    def holds_at(self, at: datetime) -> bool:
        """Tell whether the key may be used at ``at``."""
        return self.valid_from <= at < self.valid_until


class KeyDocument(Statement):
    """All the keys of an organisation that still matter, old ones too, for what they once signed; and what it hears."""

    organisation: Organisation
    serial: Annotated[int, Field(ge=1, le=MAX_SERIAL)]
    """Grows with every document of the organisation, so that nobody can put back an old one."""
    issued: Time
    hears: Annotated[tuple[EventType, ...], Field(max_length=MAX_TYPES)]
    """The types of events that it reads, in alphabetical order, each once. Nothing else is said to it."""
    keys: Annotated[tuple[PublishedKey, ...], Field(min_length=1, max_length=MAX_KEYS)]

    @model_validator(mode="after")
    def _in_one_form(self) -> Self:
        if list(self.hears) != sorted(set(self.hears)):
            raise ValueError
        return self

    def for_purpose(self, purpose: KeyPurpose, at: datetime) -> Iterator[PublishedKey]:
        """Yield the keys for ``purpose`` that hold at ``at``."""
        return (key for key in self.keys if key.purpose is purpose and key.holds_at(at))


def publish(key: PublicKey, purpose: KeyPurpose, valid_from: datetime, valid_until: datetime) -> PublishedKey:
    """Return the entry of ``key`` in a key document."""
    return PublishedKey(
        purpose=purpose,
        kind=key.kind,
        id=key.id,
        public=key.public,
        valid_from=valid_from,
        valid_until=valid_until,
    )


def sign_key_document(document: KeyDocument, identity: SigningKey) -> str:
    """Return the note of ``document``, signed with the organisation's ``identity``.

    Raises:
        DocumentError: ``document-malformed`` or ``document-key-refused``: no partner would take it.
    """
    _check(document)
    return sign_document(FORM, document, [note_signer(document.organisation, KeyPurpose.IDENTITY, identity)])


def open_key_document(note: str | bytes, organisation: OrganisationId, identity: Verifier) -> KeyDocument:
    """Return the key document of ``organisation``, once its pinned ``identity`` is seen to have signed it.

    Every key in it is loaded and checked (see :mod:`shared.sealing.keys`).

    Raises:
        DocumentError: ``document-malformed``, ``document-forged``, ``document-unsigned`` or ``document-key-refused``.
    """
    document = open_document(KeyDocument, FORM, note, [identity])
    if document.organisation != organisation:
        raise DocumentError(DocumentCode.MALFORMED)
    _check(document)
    return document


def _check(document: KeyDocument) -> None:
    for published in document.keys:
        if published.kind not in KINDS_FOR[published.purpose] or published.kind is KeyKind.AES_256:
            raise DocumentError(DocumentCode.MALFORMED)
        if published.valid_from >= published.valid_until:
            raise DocumentError(DocumentCode.MALFORMED)
        _check_key(published)
    if len({published.id for published in document.keys}) != len(document.keys):
        raise DocumentError(DocumentCode.KEY_REFUSED)


def _check_key(published: PublishedKey) -> None:
    """Check a key without keeping it loaded: most keys of most partners are never used."""
    try:
        key = enrol(published.kind, published.public)
    except KeyRefusedError:
        raise DocumentError(DocumentCode.KEY_REFUSED) from None
    if key.id != published.id:
        raise DocumentError(DocumentCode.KEY_REFUSED)
