"""Our folder: keys, documents, agreements and what has happened so far. Readable by its owner alone."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from .agreement import Agreement
from .documents import owner, read_note
from .envelope import is_organisation
from .files import write_private
from .key_document import KeyDocument
from .keychain import Keychain
from .keys import Kind
from .notes import Verifier
from .partners import Partner, Partners
from .refusal import Refused
from .store import Store

OWNER_ONLY = 0o700
AGREEMENT = ".agreement"


@dataclass(frozen=True, slots=True)
class Folder:
    """The folder at ``path``; ``passphrase`` opens our keys, where they have one."""

    path: Path
    passphrase: bytes | None = None

    def make_keys(self, organisation: str, inbox_kind: Kind, at: datetime) -> tuple[Keychain, Verifier]:
        """Make what keys are missing, and write key document and identity, to be handed to partners."""
        self.path.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
        known = self.keychain() if self._keys.exists() else Keychain.empty(organisation)
        if known.organisation != organisation or not is_organisation(organisation):
            raise Refused("organisation-differs")
        keychain = known.renewed(at, inbox_kind)
        keychain.save(self._keys, self.passphrase)
        identity, verifier = keychain.identity()
        write_private(self.path / f"{organisation}.keys", keychain.document(at).signed(identity).encode())
        write_private(self.path / f"{organisation}.vkey", f"{verifier.vkey}\n".encode())
        return keychain, verifier

    def keychain(self) -> Keychain:
        """Return our keys; raises as `Keychain.load`."""
        return Keychain.load(self._keys, self.passphrase)

    def countersign(self, note: str, compared: Verifier | None = None) -> tuple[Agreement, Path]:
        """Sign an agreement that the partner has signed; return it, and the file to hand back to the partner.

        It stands beside those before it, unless it begins when one of them does, or pins another identity.

        Raises:
            Refused: ``identity-differs`` unless the partner's identity in it is the one that was ``compared`` before;
                as the agreement is read.
        """
        identity, verifier = self.keychain().identity()
        agreement, signed = Agreement.countersigned(note, verifier, identity)
        _, other = agreement.sides(owner(verifier.name))
        if compared not in (None, other.identity):
            raise Refused("identity-differs")
        for before in self._agreements(other.organisation):
            if not _pins(before, verifier, other.identity):
                before.unlink()
        path = self.path / f"{other.organisation}.{agreement.valid_from:%Y%m%dT%H%M%SZ}{AGREEMENT}"
        write_private(path, signed.encode())
        return agreement, path

    def partners(self, keychain: Keychain, documents: list[Path], store: Store) -> Partners:
        """Return the partners whose key documents these are.

        Raises:
            Refused: ``agreement-none`` if there is no agreement; ``document-superseded``; as the documents are read.
        """
        _, verifier = keychain.identity()
        known = {}
        for path in documents:
            note = read_text(path)
            organisation = owner(read_note(note).lines[0][0])
            agreements = tuple(Agreement.read(read_text(each), verifier) for each in self._agreements(organisation))
            if not agreements:
                raise Refused("agreement-none")
            for agreement in agreements:
                document = KeyDocument.read(note, agreement.sides(keychain.organisation)[1].identity)
            with store.transaction():
                store.accept_document(organisation, document.serial, sha256(note.encode()).digest())
            known[organisation] = Partner(agreements, document)
        return Partners(keychain.organisation, known)

    def store(self) -> Store:
        """Open what has happened so far."""
        return Store(self.path / "state.db")

    @property
    def _keys(self) -> Path:
        return self.path / "secret.keys"

    def _agreements(self, organisation: str) -> list[Path]:
        return sorted(self.path.glob(f"{organisation}.*{AGREEMENT}")) if is_organisation(organisation) else []


def _pins(path: Path, own: Verifier, other: Verifier) -> bool:
    try:
        agreement = Agreement.read(read_text(path), own)
    except Refused:
        return False
    return other in (party.identity for party in agreement.parties)


def read_text(path: Path) -> str:
    """Read a document; raise ``document-missing``, or ``document-malformed`` where it is no text."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        raise Refused("document-malformed") from None
    except OSError:
        raise Refused("document-missing") from None
