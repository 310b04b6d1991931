"""An organisation comes into being, and two of them agree: the steps that need the identity key.

The identity key is kept offline. So the inbox keys of a quarter are made and published at once, one for each week, and
the identity is needed again when the quarter ends, not every week.

What must never happen: that keys which exist are written over, that a partner's documents are kept unverified, or that
a passphrase which one service is told opens the keyring of another.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from shared.audit.note import Verifier
from shared.contracts.codes import RecipientKind, ReferralKind, TransferBasis
from shared.contracts.heard import HEARD
from shared.contracts.ids import OrganisationId
from shared.files import PUBLIC_MODE, write_atomically
from shared.sealing.agreement import Agreement, Party, open_agreement, sign_agreement
from shared.sealing.codes import KeyringCode, KeyringError, SealingError
from shared.sealing.directory import AGREEMENT_SUFFIX, IDENTITY_FILE, KEYS_SUFFIX, PARTNERS_FOLDER, agreement_file
from shared.sealing.documents import identity_vkey, parse_identity
from shared.sealing.key_document import KeyDocument, open_key_document, publish, sign_key_document
from shared.sealing.keyring import (
    RECOMMENDED_COST,
    Cost,
    HeldKey,
    Holder,
    Keyring,
    keyring_path,
    read_keyring,
    write_keyring,
)
from shared.sealing.keys import InboxKey, KeyPurpose, SigningKey, StorageKey
from shared.sealing.suites import KeyKind
from shared.sealing.timestamp import rounded_down
from shared.values import dataclass

IDENTITY_LIFETIME: Final = timedelta(days=3_653)
SERVICE_KEY_LIFETIME: Final = timedelta(days=182)
INBOX_LIFETIME: Final = timedelta(days=7)
INBOX_KEYS_AHEAD: Final = 13
FIRST_EPOCH: Final = 1

_PURPOSES: Final = {
    Holder.IDENTITY: (KeyPurpose.IDENTITY,),
    Holder.INTAKE: (KeyPurpose.RECEIPT, KeyPurpose.AUDIT_INTAKE),
    Holder.REFERRAL: (KeyPurpose.SIGNING, KeyPurpose.AUDIT_REFERRAL),
    Holder.NOTIFY: (KeyPurpose.AUDIT_NOTIFY,),
}
"""Which service holds which keys that sign. Inbox and storage keys are referral's alone."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An organisation and its identity key, while it is out of the safe."""

    organisation: OrganisationId
    key: SigningKey

    @property
    def vkey(self) -> str:
        """The identity as partners pin it."""
        return identity_vkey(self.organisation, self.key.public)


@dataclass(frozen=True, slots=True)
class Choices:
    """What an organisation may choose when its keys are made."""

    inbox_kind: KeyKind = KeyKind.X_WING
    cost: Cost = RECOMMENDED_COST


@dataclass(frozen=True, slots=True)
class Terms:
    """What two organisations agree on. Who is not named in ``may_send`` may send every kind of referral."""

    valid_from: datetime
    valid_until: datetime
    kinds: Mapping[OrganisationId, RecipientKind]
    """What each of the two is. Nobody is taken for support because nothing was said of it."""
    may_send: Mapping[OrganisationId, frozenset[ReferralKind]] | None = None
    transfer_basis: TransferBasis | None = None


def make_organisation(
    folder: Path,
    organisation: OrganisationId,
    passphrases: Mapping[Holder, str],
    at: datetime,
    choices: Choices | None = None,
) -> Identity:
    """Make every key of ``organisation`` in ``folder``: four keyrings, its pinned identity and its signed key document.

    Args:
        folder: where they are kept; made if it is not there.
        organisation: whose.
        passphrases: of each keyring its own.
        at: from when the keys hold.
        choices: what else may be chosen.

    Raises:
        KeyringError: ``keyring-exists``: there is an organisation in this folder already.
        KeyError: a keyring has no passphrase; none is written then.
        OSError: the folder cannot be written to.
    """
    choices = choices or Choices()
    if any(keyring_path(folder, holder).exists() for holder in Holder):
        raise KeyringError(KeyringCode.EXISTS)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / PARTNERS_FOLDER).mkdir(mode=0o700, exist_ok=True)
    since = rounded_down(at)
    keyrings = {holder: _keyring(organisation, holder, since, choices) for holder in Holder}
    for keyring, passphrase in [(keyrings[holder], passphrases[holder]) for holder in Holder]:
        write_keyring(folder, keyring, passphrase, choices.cost)
    identity = Identity(organisation, keyrings[Holder.IDENTITY].signing_key(KeyPurpose.IDENTITY, at))
    document = KeyDocument(
        organisation=organisation,
        serial=1,
        issued=since,
        hears=HEARD,
        keys=tuple(
            publish(held.key.public, held.purpose, held.valid_from, held.valid_until)
            for keyring in keyrings.values()
            for held in keyring.keys
        ),
    )
    _write_public(folder / IDENTITY_FILE, identity.vkey + "\n")
    _write_public(_partner_file(folder, organisation, KEYS_SUFFIX), sign_key_document(document, identity.key))
    return identity


def open_identity(folder: Path, passphrase: str, at: datetime) -> Identity:
    """Take the identity of ``folder`` out of the safe.

    Raises:
        KeyringError: as :func:`shared.sealing.keyring.read_keyring`.
    """
    keyring = read_keyring(folder, Holder.IDENTITY, passphrase)
    return Identity(keyring.organisation, keyring.signing_key(KeyPurpose.IDENTITY, at))


def published_document(folder: Path, organisation: OrganisationId) -> str:
    """Return the signed key document of ``organisation``, to hand to partners."""
    return _partner_file(folder, organisation, KEYS_SUFFIX).read_text()


def agree(one: Identity, other: Identity, terms: Terms) -> str:
    """Return the agreement of two organisations, signed by both.

    Raises:
        KeyError: the terms do not say what one of them is.
    """
    first, second = sorted((one, other), key=lambda identity: identity.organisation)
    agreement = Agreement(
        parties=(_party(first, terms), _party(second, terms)),
        valid_from=terms.valid_from,
        valid_until=terms.valid_until,
        transfer_basis=terms.transfer_basis,
    )
    return sign_agreement(agreement, (first.key, second.key))


def introduce(folder: Path, agreement: str, document: str) -> OrganisationId:
    """Keep a partner's signed ``agreement`` with us and its key ``document`` in our ``folder``; return who it is.

    What was agreed before stays beside it, unless it begins at the same time or pins another identity of the partner.

    Raises:
        DocumentError: one of them is not right; nothing is kept.
        KeyRefusedError: our own identity file is not right.
    """
    vkey = (folder / IDENTITY_FILE).read_text().strip()
    us = OrganisationId(vkey.partition("/")[0])
    ours = parse_identity(us, vkey)
    agreed, identity = open_agreement(agreement, us, ours)
    partner = agreed.partner_of(us).organisation
    open_key_document(document, partner, identity)
    _forget_others(folder / PARTNERS_FOLDER, partner, agreed.party(partner).identity, us, ours)
    _write_public(_partner_file(folder, partner, KEYS_SUFFIX), document)
    _write_public(folder / PARTNERS_FOLDER / agreement_file(partner, agreed), agreement)
    return partner


def _forget_others(partners: Path, partner: OrganisationId, identity: str, us: OrganisationId, ours: Verifier) -> None:
    """Take away the agreements with ``partner`` that pin another identity, or cannot be read."""
    for path in partners.glob(f"{partner}.*{AGREEMENT_SUFFIX}"):
        try:
            agreement, _ = open_agreement(path.read_bytes(), us, ours)
            keep = agreement.party(partner).identity == identity
        except SealingError:
            keep = False
        if not keep:
            path.unlink()


def _keyring(organisation: OrganisationId, holder: Holder, since: datetime, choices: Choices) -> Keyring:
    lifetime = IDENTITY_LIFETIME if holder is Holder.IDENTITY else SERVICE_KEY_LIFETIME
    signing = tuple(HeldKey(purpose, SigningKey.generate(), since, since + lifetime) for purpose in _PURPOSES[holder])
    if holder is not Holder.REFERRAL:
        return Keyring(organisation, holder, signing)
    inbox = tuple(_inbox_keys(choices.inbox_kind, since))
    return Keyring(organisation, holder, signing + inbox, (StorageKey.generate(FIRST_EPOCH),))


def _inbox_keys(kind: KeyKind, since: datetime) -> Iterator[HeldKey]:
    """Yield one inbox key for each week of a quarter; each holds from the week's beginning to its end."""
    for week in range(INBOX_KEYS_AHEAD):
        valid_from = since + week * INBOX_LIFETIME
        yield HeldKey(KeyPurpose.INBOX, InboxKey.generate(kind), valid_from, valid_from + INBOX_LIFETIME)


def _party(identity: Identity, terms: Terms) -> Party:
    may_send = (terms.may_send or {}).get(identity.organisation, frozenset(ReferralKind))
    return Party(
        organisation=identity.organisation,
        kind=terms.kinds[identity.organisation],
        identity=identity.vkey,
        may_send=tuple(sorted(may_send)),
    )


def _partner_file(folder: Path, organisation: OrganisationId, suffix: str) -> Path:
    return folder / PARTNERS_FOLDER / f"{organisation}{suffix}"


def _write_public(path: Path, text: str) -> None:
    write_atomically(path, text.encode(), PUBLIC_MODE)
