"""The keys of cases and of reports, wrapped: without the storage key, which is elsewhere, they open nothing.

A key that is destroyed leaves its row. A storage key that is not at hand is another thing, and erases nothing.
"""

from collections.abc import Sequence
from typing import Final, TypeVar
from uuid import UUID

from services.referral.known import Erased, Folder, Known
from shared.contracts.ids import CaseId
from shared.messaging.delivery import Later
from shared.sealing.codes import KeyringCode
from shared.storage.pool import Connection
from shared.storage.rows import insert
from shared.storage.vault import Vault, WrappedKey

Thing = TypeVar("Thing")

COLUMNS: Final = ("id", "epoch", "wrapped")

FIND: Final = "SELECT epoch, wrapped FROM folder WHERE id = $1"


async def keep(connection: Connection, folders: Sequence[Folder]) -> None:
    """Keep the keys of new ``folders``."""
    if folders:
        rows = [(folder.id, folder.key.epoch, folder.key.wrapped) for folder in folders]
        await insert(connection, "folder", COLUMNS, rows)


async def find(connection: Connection, folder: CaseId) -> tuple[int | None, bytes | None]:
    """Return the storage key's epoch and the wrapped key of ``folder``; of one that is not there, nothing."""
    row = await connection.fetchrow(FIND, folder)
    return (None, None) if row is None else (row["epoch"], row["wrapped"])


def known(
    vault: Vault, thing: Thing, folder: UUID, epoch: int | None, wrapped: bytes | None
) -> Known[Thing] | Erased[Thing]:
    """Return ``thing`` with the key of its ``folder`` unwrapped; as erased, where that key was destroyed.

    Raises:
        Later, VaultError: as :func:`opened`.
    """
    if epoch is None or wrapped is None:
        return Erased(thing)
    return Known(thing, opened(vault, folder, epoch, wrapped))


def opened(vault: Vault, folder: UUID, epoch: int, wrapped: bytes) -> Folder:
    """Return a folder with its key unwrapped.

    Raises:
        Later: ``keyring-key-missing``: its storage key is not at hand. It may come back, however long that takes.
        VaultError: the wrapped key was altered.
    """
    if not vault.holds(epoch):
        raise Later(KeyringCode.KEY_MISSING, ours=True)
    key = WrappedKey(epoch, wrapped)
    return Folder(CaseId(folder), vault.case(folder, key), key)


def new(vault: Vault, folder: CaseId) -> Folder:
    """Return a folder with a fresh key, to be kept with the decision that needs it."""
    cipher, key = vault.new_case(folder)
    return Folder(folder, cipher, key, new=True)
