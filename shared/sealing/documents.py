"""How a statement becomes a document: one format line, one line of JSON, and signatures by pinned identity keys.

Key documents and agreements are both C2SP signed notes whose text is exactly two lines. What must never happen: that a
statement is used before everybody who had to sign it is seen to have signed.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from shared.audit.note import KeyName, NoteFault, NoteRefusedError, Signer, Verifier, open_note, sign, vkey
from shared.contracts.ids import OrganisationId
from shared.sealing.codes import DocumentCode, DocumentError
from shared.sealing.fields import Statement, read_exactly, spell
from shared.sealing.keys import KeyPurpose, SigningKey, VerifyKey, key_name

_Statement = TypeVar("_Statement", bound=Statement)

_FAULTS: Final = {NoteFault.FORGED: DocumentCode.FORGED, NoteFault.UNVERIFIED: DocumentCode.UNSIGNED}


def note_signer(organisation: OrganisationId, purpose: KeyPurpose, key: SigningKey) -> Signer:
    """Return what signs notes in the name of ``organisation`` with its key for ``purpose``."""
    return Signer(KeyName(key_name(organisation, purpose)), key.handle)


def note_verifier(organisation: OrganisationId, purpose: KeyPurpose, key: VerifyKey) -> Verifier:
    """Return what checks notes that ``organisation`` signed with its key for ``purpose``."""
    return Verifier(KeyName(key_name(organisation, purpose)), key.public)


def identity_vkey(organisation: OrganisationId, key: VerifyKey) -> str:
    """Return an identity key in the form in which it is published and pinned: a C2SP verifier key."""
    return vkey(KeyName(key_name(organisation, KeyPurpose.IDENTITY)), key.public)


def parse_identity(organisation: OrganisationId, text: str) -> Verifier:
    """Return the verifier of ``organisation``'s identity key from its vkey, enrolment checks included.

    Raises:
        DocumentError: ``document-malformed`` when it is not a vkey of this organisation's identity.
        KeyRefusedError: the key is one that nobody may trust.
    """
    try:
        verifier = Verifier.parse(text)
    except NoteRefusedError:
        raise DocumentError(DocumentCode.MALFORMED) from None
    if verifier.name != key_name(organisation, KeyPurpose.IDENTITY) or str(verifier) != text:
        raise DocumentError(DocumentCode.MALFORMED)
    VerifyKey.enrol(verifier.public)
    return verifier


def sign_document(form: str, statement: Statement, signers: Sequence[Signer]) -> str:
    """Return the note of ``statement`` under the format line ``form``, signed by each of ``signers``."""
    return sign(f"{form}\n{spell(statement)}\n", *signers)


def open_document(kind: type[_Statement], form: str, note: str | bytes, signed_by: Sequence[Verifier]) -> _Statement:
    """Return the statement of a note that every one of ``signed_by`` has signed.

    Raises:
        DocumentError: ``document-malformed``, ``document-forged`` or ``document-unsigned``.
    """
    try:
        opened = open_note(note, signed_by)
    except NoteRefusedError as refused:
        raise DocumentError(_FAULTS.get(refused.code, DocumentCode.MALFORMED)) from None
    if set(opened.signed_by) != set(signed_by):
        raise DocumentError(DocumentCode.UNSIGNED)
    first, _, rest = opened.text.partition("\n")
    if first != form:
        raise DocumentError(DocumentCode.MALFORMED)
    try:
        return read_exactly(kind, rest.removesuffix("\n"))
    except ValueError:
        raise DocumentError(DocumentCode.MALFORMED) from None
