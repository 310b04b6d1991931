"""Organisations with real keys, and the envelopes that they seal: honest ones, and ones that a door must refuse."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

from shared.contracts.codes import RecipientKind
from shared.contracts.heard import HEARD, EventType
from shared.contracts.ids import KeyId, MessageId, OrganisationId
from shared.files import PUBLIC_MODE, write_atomically
from shared.sealing.book import Book
from shared.sealing.directory import AGREEMENT_SUFFIX, KEYS_SUFFIX, PARTNERS_FOLDER, Directory
from shared.sealing.enrol import (
    INBOX_LIFETIME,
    Choices,
    Identity,
    Terms,
    agree,
    introduce,
    make_organisation,
    published_document,
)
from shared.sealing.envelope import Dispatch, parse, seal
from shared.sealing.header import ce_headers
from shared.sealing.key_document import PublishedKey, publish, sign_key_document
from shared.sealing.keyring import Cost, HeldKey, Holder, Keyring, read_keyring
from shared.sealing.keys import InboxKey, InboxPublicKey, KeyPurpose, SigningKey, VerifyKey
from shared.sealing.suites import KeyKind

PASSPHRASE = "a passphrase for tests"
PASSPHRASES = dict.fromkeys(Holder, PASSPHRASE)
"""Of each keyring; those of a real node differ."""
CHEAP = Choices(cost=Cost(memory_kib=64, iterations=1, lanes=1))
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Organisation:
    """An organisation, its folder and all of its keys."""

    id: OrganisationId
    folder: Path
    identity: Identity

    @classmethod
    def make(cls, folder: Path, organisation: OrganisationId) -> "Organisation":
        """Make an organisation with fresh keys in a folder of its own."""
        home = folder / organisation
        return cls(organisation, home, make_organisation(home, organisation, PASSPHRASES, datetime.now(UTC), CHEAP))

    @property
    def directory(self) -> Directory:
        """What the organisation knows of itself and its partners."""
        return Directory(self.folder)

    def keyring(self, holder: Holder) -> Keyring:
        """Return the keys of one of its services."""
        return read_keyring(self.folder, holder, PASSPHRASE)

    def key(self, purpose: KeyPurpose) -> SigningKey:
        """Return the key that it signs with for ``purpose``."""
        holders = {
            KeyPurpose.SIGNING: Holder.REFERRAL,
            KeyPurpose.RECEIPT: Holder.INTAKE,
            KeyPurpose.AUDIT_INTAKE: Holder.INTAKE,
            KeyPurpose.IDENTITY: Holder.IDENTITY,
        }
        return self.keyring(holders[purpose]).signing_key(purpose, datetime.now(UTC))

    def publish_inbox(self, *ended: timedelta) -> list[InboxPublicKey]:
        """Publish inbox keys to ourselves that ended so long ago, each of a week, and return them."""
        keys = [InboxKey.generate(KeyKind.X_WING).public for _ in ended]
        self.hear_of_inbox(dict(zip(keys, ended, strict=True)))
        return keys

    def hear_of_inbox(self, ended: Mapping[InboxPublicKey, timedelta]) -> None:
        """Publish to ourselves inbox keys of ours that have ended so long ago, each of a week."""
        now = datetime.now(UTC).replace(microsecond=0)
        weeks = [publish(key, KeyPurpose.INBOX, now - ago - INBOX_LIFETIME, now - ago) for key, ago in ended.items()]
        self._publish((*self.directory.book.document(self.id).keys, *weeks), self)

    def inbox_key(self, of: OrganisationId) -> InboxPublicKey:
        """Return the key to seal to, as this organisation's directory has it."""
        return self.directory.book.inbox_key(of, datetime.now(UTC))

    def publish(self, to: "Organisation", purpose: KeyPurpose, key: SigningKey) -> None:
        """Publish one more key, and let ``to`` have the new document."""
        now = datetime.now(UTC).replace(microsecond=0)
        added = publish(key.public, purpose, now - DAY, now + DAY)
        self._publish((*self.directory.book.document(self.id).keys, added), self, to)

    def publish_again(
        self, to: "Organisation", *, but: KeyPurpose | None = None, deaf_to: Collection[EventType] = ()
    ) -> int:
        """Let ``to`` have a new document, without our keys for one purpose or without some types that we hear.

        Return its serial.
        """
        keys = tuple(key for key in self.directory.book.document(self.id).keys if key.purpose is not but)
        return self._publish(keys, to, hears=tuple(each for each in HEARD if each not in deaf_to))

    def replace_inbox(self, to: "Organisation") -> tuple[int, HeldKey]:
        """Let ``to`` have a new document with one key to seal to, a new one; return its serial and the key."""
        now = datetime.now(UTC).replace(microsecond=0)
        held = HeldKey(KeyPurpose.INBOX, InboxKey.generate(KeyKind.X_WING), now - DAY, now + DAY)
        others = (key for key in self.directory.book.document(self.id).keys if key.purpose is not KeyPurpose.INBOX)
        new = publish(held.key.public, held.purpose, held.valid_from, held.valid_until)
        return self._publish((*others, new), to), held

    def _publish(
        self, keys: tuple[PublishedKey, ...], *to: "Organisation", hears: tuple[EventType, ...] = HEARD
    ) -> int:
        now = datetime.now(UTC).replace(microsecond=0)
        known = [each.directory.book.document(self.id) for each in to]
        serial = max(document.serial for document in known) + 1
        document = known[0].model_copy(update={"serial": serial, "issued": now, "hears": hears, "keys": keys})
        note = sign_key_document(document, self.identity.key).encode()
        for each in to:
            write_atomically(each.folder / PARTNERS_FOLDER / f"{self.id}{KEYS_SUFFIX}", note, PUBLIC_MODE)
        return serial

    def agree_with(
        self,
        other: "Organisation",
        begins: timedelta = -DAY,
        ends: timedelta = 30 * DAY,
        kind: RecipientKind = RecipientKind.SUPPORT,
        *,
        renews: bool = False,
    ) -> None:
        """Sign an agreement with ``other``, which is a ``kind``, and exchange documents; the times count from now.

        It is put in the place of what was agreed before, or beside it when it ``renews`` that.
        """
        now = datetime.now(UTC).replace(microsecond=0)
        kinds = {self.id: RecipientKind.SUPPORT, other.id: kind}
        agreement = agree(self.identity, other.identity, Terms(now + begins, now + ends, kinds))
        introduce(self.folder, agreement, published_document(other.folder, other.id))
        introduce(other.folder, agreement, published_document(self.folder, self.id))
        for us, them in ((self, other), (other, self)):
            for path in (us.folder / PARTNERS_FOLDER).glob(f"{them.id}.*{AGREEMENT_SUFFIX}"):
                if not renews and path.read_text() != agreement:
                    path.unlink()


def verifier(book: Book, organisation: OrganisationId, number: KeyId, *purposes: KeyPurpose) -> VerifyKey:
    """Return the key that verifies what ``organisation`` signs now for one of ``purposes``."""
    published = book.published(organisation, number)
    assert published.holds_at(datetime.now(UTC))
    assert published.purpose in purposes
    assert isinstance(published.key, VerifyKey)
    return published.key


@dataclass(frozen=True)
class Sealed:
    """An envelope and what goes beside it."""

    id: MessageId
    envelope: bytes
    headers: dict[str, str]


@dataclass
class Sender:
    """One organisation's hand, which seals for one other."""

    organisation: Organisation
    to: OrganisationId
    inbox: InboxPublicKey
    signer: SigningKey
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @classmethod
    def of(cls, organisation: Organisation, to: Organisation, purpose: KeyPurpose = KeyPurpose.SIGNING) -> "Sender":
        """Seal for ``to`` in the name of ``organisation``."""
        return cls(organisation, to.id, to.inbox_key(to.id), organisation.key(purpose))

    def skip(self, numbers: int) -> None:
        """Use some numbers for envelopes that never come."""
        for _ in range(numbers):
            next(self._numbers)

    def seal(
        self,
        body: bytes = b'{"sealed": "for referral alone"}',
        *,
        id_: UUID | None = None,
        at: datetime | None = None,
        lives: timedelta = DAY,
        to: OrganisationId | None = None,
        signer: SigningKey | None = None,
        inbox: InboxPublicKey | None = None,
    ) -> Sealed:
        """Return an envelope, honest but for what is said otherwise."""
        at = at or datetime.now(UTC)
        number = next(self._numbers)
        message = MessageId(id_ or uuid4())
        dispatch = Dispatch(message, self.organisation.id, to or self.to, number, at, at + lives)
        envelope = seal(body, dispatch, signer or self.signer, [inbox or self.inbox])
        return Sealed(message, envelope, ce_headers(parse(envelope).header))
