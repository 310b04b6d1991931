"""Checkpoints: what a log says of itself at one moment, in three lines that anybody can keep.

Source: https://c2sp.org/tlog-checkpoint. A checkpoint is a signed note whose text is the log's origin, its size and
its root. Two of them that do not fit are the proof, for anybody, that the log's keeper rewrote it; so a log must
never sign one that does not continue the last.

Where C2SP leaves a choice, it is decided here: the origin of a log is the name of the key that signs it, such as
``ccem-fr/audit/referral``; a size is at most 2^63 - 1; our logs write no extension lines, and a reader keeps those of
others.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from shared.audit.merkle import HASH_BYTES, Hash
from shared.audit.note import KeyName, NoteSigner, NoteVerifier, open_note, sign
from shared.contracts.coded import Coded
from shared.contracts.ids import OrganisationId
from shared.values import dataclass

MAX_SIZE: Final = 2**63 - 1

_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_FIXED_LINES: Final = 3


class CheckpointFault(StrEnum):
    """Why a checkpoint is refused."""

    MALFORMED = "checkpoint-malformed"
    """The text is not origin, size, root and, if any, extension lines that are not empty."""
    OTHER_LOG = "checkpoint-other-log"
    """It is signed, but not by the log that it is about."""


class CheckpointRefusedError(Coded[CheckpointFault]):
    """A checkpoint that must not be used. Carries the code, and nothing of the checkpoint."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log at one moment: which log, how many leaves, and their root."""

    origin: KeyName
    size: int
    root: Hash
    extensions: tuple[str, ...] = ()
    """Further lines that other people's logs may sign. Nobody can check what they say."""

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the text of a checkpoint, whoever signed it.

        Raises:
            CheckpointRefusedError: ``checkpoint-malformed``.
        """
        *lines, rest = text.split("\n")
        if rest or len(lines) < _FIXED_LINES or not all(lines):
            raise CheckpointRefusedError(CheckpointFault.MALFORMED)
        origin, size, root_text, *extensions = lines
        if _SIZE.fullmatch(size) is None or int(size) > MAX_SIZE:
            raise CheckpointRefusedError(CheckpointFault.MALFORMED)
        return cls(KeyName(origin), int(size), _parse_root(root_text), tuple(extensions))

    def text(self) -> str:
        """Return the lines that are signed."""
        root_text = base64.b64encode(self.root).decode()
        return "".join(f"{line}\n" for line in (self.origin, self.size, root_text, *self.extensions))

    def sign(self, *signers: NoteSigner) -> str:
        """Return the checkpoint as a signed note."""
        return sign(self.text(), *signers)


def log_name(organisation: OrganisationId, service: str) -> KeyName:
    """Return the origin of a service's log, which is also the name of the key that signs it."""
    return KeyName(f"{organisation}/audit/{service}")


def open_checkpoint(note: str | bytes, verifiers: Iterable[NoteVerifier]) -> Checkpoint:
    """Return the checkpoint in a note that the log itself has signed with one of the keys of ``verifiers``.

    Raises:
        NoteRefusedError: the note is not signed by any of them, or is no note.
        CheckpointRefusedError: ``checkpoint-malformed``, or ``checkpoint-other-log`` when only others than the log
            signed it.
    """
    opened = open_note(note, verifiers)
    checkpoint = Checkpoint.parse(opened.text)
    if checkpoint.origin not in opened.names:
        raise CheckpointRefusedError(CheckpointFault.OTHER_LOG)
    return checkpoint


def _parse_root(text: str) -> Hash:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CheckpointRefusedError(CheckpointFault.MALFORMED) from None
    if len(raw) != HASH_BYTES or base64.b64encode(raw).decode() != text:
        raise CheckpointRefusedError(CheckpointFault.MALFORMED)
    return Hash(raw)
