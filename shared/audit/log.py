"""Writing the audit trail: a leaf goes in with the change that it is about, in its transaction, and waits for a number.

A leaf is a commitment: SHA-256 over 32 random bytes and the entry's bytes. The tree is made of commitments alone, so
that the log still verifies when an entry can no longer be read. The random bytes and the entry are kept beside it,
encrypted under the case's key where the entry belongs to a case; destroying that key erases the entry and leaves its
place in the log.

No lock is taken and nothing is numbered here: ``shared.audit.sequencer`` does that afterwards. What must never
happen: a change without its entry, an entry of a case in clear, or a leaf that is changed once it is written.
"""

from collections.abc import Sequence
from dataclasses import field
from hashlib import sha256
from os import urandom
from pathlib import Path
from typing import Final, NewType, Protocol
from uuid import UUID

from shared.audit.entry import encode_entry
from shared.contracts.entries import Entry
from shared.storage.pool import Connection
from shared.values import dataclass

MIGRATIONS: Final = Path(__file__).parent / "migrations"

SALT_BYTES: Final = 32

Commitment = NewType("Commitment", bytes)
"""32 bytes that say nothing about an entry and fit no other. Also the leaf's id."""


class EntryCipher(Protocol):
    """Encrypts entries under the key of the case that they belong to; ``shared.audit.cases`` has the one in use."""

    def seal(self, case: UUID, leaf: Commitment, plaintext: bytes, /) -> bytes:
        """Return ``plaintext`` encrypted under the key of ``case`` and bound to ``leaf``."""

    def open(self, case: UUID, leaf: Commitment, content: bytes, /) -> bytes | None:
        """Return what ``seal`` was given; ``None`` when the key of the case has been destroyed or is not at hand.

        Raises:
            VaultError: the key is there, and the content is not what ``seal`` returned for this case and leaf.
        """


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry that is ready to be written: what goes into the tree, and what is kept beside it."""

    commitment: Commitment
    case: UUID | None
    opening: bytes = field(repr=False)
    """The salt and the entry's bytes, in clear: whoever has them can check the commitment."""


class ClearCaseError(Exception):
    """An entry of a case came without a cipher: a fault in the program, and nothing was written."""

    code: Final = "audit-case-in-clear"


def prepare(entry: Entry, salt: bytes) -> Leaf:
    """Return the leaf of ``entry``. ``salt`` is 32 random bytes, used once.

    Raises:
        EntryRefusedError: ``entry-malformed``.
        ValueError: the salt has another length.
    """
    if len(salt) != SALT_BYTES:
        message = "audit-salt-length"
        raise ValueError(message)
    opening = salt + encode_entry(entry)
    return Leaf(commit(opening), entry.case, opening)


def commit(opening: bytes) -> Commitment:
    """Return the commitment to a salt and an entry's bytes, one after the other."""
    return Commitment(sha256(opening).digest())


_APPEND: Final = """
    WITH leaf AS (
        INSERT INTO audit_leaf (commitment, case_id, content)
        SELECT commitment, case_id, content
        FROM unnest($1::bytea[], $2::uuid[], $3::bytea[]) WITH ORDINALITY AS new (commitment, case_id, content, place)
        ORDER BY place
        RETURNING id
    )
    INSERT INTO audit_pending (leaf_id) SELECT id FROM leaf
"""


async def append(connection: Connection, leaves: Sequence[Leaf], cipher: EntryCipher | None = None) -> None:
    """Write ``leaves`` with one statement, in the caller's transaction and in the order given.

    Args:
        connection: inside the transaction that makes the change.
        leaves: any number; none writes nothing.
        cipher: for entries that belong to a case. Entries that belong to none hold ids and codes only, and are kept
            in clear.

    Raises:
        ClearCaseError: an entry belongs to a case and there is no cipher.
    """
    if not leaves:
        return
    contents = [_content(leaf, cipher) for leaf in leaves]
    await connection.execute(_APPEND, [leaf.commitment for leaf in leaves], [leaf.case for leaf in leaves], contents)


async def record(connection: Connection, *entries: Entry) -> None:
    """Write ``entries``, none of which belongs to a case, in the caller's transaction and in the order given.

    Raises:
        EntryRefusedError: ``entry-malformed``.
        ClearCaseError: an entry belongs to a case.
    """
    await append(connection, [prepare(entry, urandom(SALT_BYTES)) for entry in entries])


def _content(leaf: Leaf, cipher: EntryCipher | None) -> bytes:
    if leaf.case is None:
        return leaf.opening
    if cipher is None:
        raise ClearCaseError
    return cipher.seal(leaf.case, leaf.commitment, leaf.opening)
