"""The folder in which an organisation keeps what it knows of itself and its partners, read into a :class:`Book`.

    identity.vkey                 our own identity key: the one thing that is trusted as it lies there
    partners/<us>.keys            our own key document, as partners have it
    partners/<them>.<beginning>.agreement
                                  signed by us and by them; pins their identity key
    partners/<them>.keys          their key document, signed by that identity

``<beginning>`` is when the agreement begins, such as 20261124T102000Z; a renewal lies beside what it renews.

A file that is not right takes away its own partner and nobody else. Files are replaced by renaming, which changes the
folder's time; :meth:`Directory.refresh` looks at that time, which costs microseconds. What is written into a file where
it lies (``cp``) changes no folder: it is seen when each file is looked at, and may be seen half written.

What must never happen: that a key is used which no pinned identity has signed, or that an older key document replaces a
newer one while the service runs; which one was the newest is not kept over a restart.
"""

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias

from shared.audit.note import MAX_NOTE_BYTES, Verifier
from shared.contracts.ids import ORGANISATION_PATTERN, OrganisationId
from shared.sealing.agreement import Agreement, open_agreement
from shared.sealing.book import Book
from shared.sealing.codes import DirectoryCode, DirectoryError, DocumentCode, DocumentError, SealingError
from shared.sealing.documents import parse_identity
from shared.sealing.key_document import KeyDocument, open_key_document

IDENTITY_FILE: Final = "identity.vkey"
PARTNERS_FOLDER: Final = "partners"
KEYS_SUFFIX: Final = ".keys"
AGREEMENT_SUFFIX: Final = ".agreement"

_Opened: TypeAlias = dict[tuple[str, bytes], KeyDocument]
"""Key documents that were verified, by the identity that signed them and the bytes of the note."""

_Seen: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""What tells one state of the files from another: name, inode, size in bytes, time of the last change in ns."""

_IDENTITY: Final = re.compile(rf"(?P<organisation>{ORGANISATION_PATTERN.strip('^$')})/identity\+[^\n]+")
_SETTLED_NS: Final = 1_000_000_000
"""What changed less than a second ago may change again without its time moving on."""


class Directory:
    """A folder, and the book that was last read from it."""

    def __init__(self, folder: Path) -> None:
        """Read the ``folder`` of an organisation.

        Raises:
            DirectoryError: ``organisation-unreadable``: our own identity or key document is missing or refused.
        """
        self._folder: Final = folder
        self._opened: _Opened = {}
        self._newest: dict[OrganisationId, KeyDocument] = {}
        self._stamp, self._seen = _stamp(folder), _seen(folder)
        self.book: Book = self._read()
        """What the folder says. Take it once for what belongs together: :meth:`refresh` puts another in its place."""

    def refresh(self, *, each_file: bool = False) -> bool:
        """Read the folder again if it has changed, and tell whether it was read.

        A change that makes our own document unreadable is not taken over: the book stays as it is.

        Args:
            each_file: look also at each file, and not at the folder alone: a microsecond or two for each.
        """
        stamp = _stamp(self._folder)
        seen = _seen(self._folder) if each_file else self._seen
        settled = stamp is not None and not (each_file and seen is None)
        if settled and (stamp, seen) == (self._stamp, self._seen):
            return False
        try:
            self.book = self._read()
        except DirectoryError:
            return False
        self._stamp, self._seen = stamp, seen
        return True

    def _read(self) -> Book:
        """Return what the folder says now; a note that has not changed is not verified again."""
        partners = self._folder / PARTNERS_FOLDER
        opened: _Opened = {}
        problems: dict[str, str] = {}
        us, identity = _own_identity(self._folder / IDENTITY_FILE)

        def document(organisation: OrganisationId, identity: Verifier) -> KeyDocument:
            note = _content(partners / f"{organisation}{KEYS_SUFFIX}")
            key = (str(identity), note)
            found = self._opened.get(key) or open_key_document(note, organisation, identity)
            opened[key] = found
            self._check_not_older(found)
            return found

        try:
            documents = {us: document(us, identity)}
        except SealingError:
            raise DirectoryError(DirectoryCode.OURSELVES_UNREADABLE) from None
        agreements: dict[OrganisationId, list[Agreement]] = {}
        for path in partners.glob(f"*{AGREEMENT_SUFFIX}"):
            try:
                agreement, theirs = open_agreement(_content(path), us, identity)
                partner = agreement.partner_of(us).organisation
                if path.name != agreement_file(partner, agreement):
                    raise DocumentError(DocumentCode.MALFORMED)
                agreements.setdefault(partner, []).append(agreement)
                documents[partner] = document(partner, theirs)
            except SealingError as refused:
                problems[path.name.partition(".")[0]] = refused.code
        for partner in agreements.keys() & problems.keys():
            del agreements[partner]
            documents.pop(partner, None)
        self._opened = opened
        for signed in agreements.values():
            signed.sort(key=lambda agreement: agreement.valid_from)
        return Book(us, documents, agreements, problems)

    def _check_not_older(self, found: KeyDocument) -> None:
        """Refuse a document that comes after a newer one, or after another one of the same serial."""
        known = self._newest.setdefault(found.organisation, found)
        if found.serial < known.serial or (found.serial == known.serial and found != known):
            raise DocumentError(DocumentCode.SUPERSEDED)
        self._newest[found.organisation] = found


def agreement_file(partner: OrganisationId, agreement: Agreement) -> str:
    """Return what the file of our ``agreement`` with ``partner`` is called: one for each time at which one begins."""
    return f"{partner}.{agreement.valid_from:%Y%m%dT%H%M%SZ}{AGREEMENT_SUFFIX}"


def _own_identity(path: Path) -> tuple[OrganisationId, Verifier]:
    try:
        match = _IDENTITY.fullmatch(path.read_text("ascii").removesuffix("\n"))
        if match is None:
            raise DirectoryError(DirectoryCode.OURSELVES_UNREADABLE)
        us = OrganisationId(match["organisation"])
        return us, parse_identity(us, match[0])
    except (OSError, ValueError, SealingError):
        raise DirectoryError(DirectoryCode.OURSELVES_UNREADABLE) from None


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_NOTE_BYTES + 1)
    except OSError:
        raise DocumentError(DocumentCode.MISSING) from None


def _stamp(folder: Path) -> int | None:
    """Return the time of the last change, or ``None`` while it is too recent to tell one change from the next."""
    changed = max(_changed(folder), _changed(folder / PARTNERS_FOLDER))
    return changed if _is_settled(changed) else None


def _seen(folder: Path) -> _Seen | None:
    """Return how the files look, or ``None`` while the last change is too recent to tell one from the next."""
    seen = []
    for path in (folder / IDENTITY_FILE, *sorted((folder / PARTNERS_FOLDER).glob("*"))):
        with suppress(OSError):
            found = path.stat()
            seen.append((path.name, found.st_ino, found.st_size, found.st_mtime_ns))
    return tuple(seen) if _is_settled(max((changed for *_, changed in seen), default=0)) else None


def _is_settled(changed: int) -> bool:
    return time.time_ns() - changed > _SETTLED_NS


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
