"""Entries of a case, encrypted under the case's own key, so that they go when the case is erased."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from shared.audit.log import Commitment
from shared.storage.vault import CaseCipher

_LABEL: Final = b"audit-entry\x00"
"""Keeps an entry apart from the documents that the same key encrypts."""


class CaseEntries:
    """An ``EntryCipher`` over the ciphers of some cases."""

    def __init__(self, ciphers: Mapping[UUID, CaseCipher]) -> None:
        """Take the cipher of each case; a case that is not among them can be neither written nor read."""
        self._ciphers: Final = ciphers

    def seal(self, case: UUID, leaf: Commitment, plaintext: bytes, /) -> bytes:
        """Return ``plaintext`` encrypted under the key of ``case`` and bound to ``leaf``.

        Raises:
            KeyError: there is no such case.
        """
        return self._ciphers[case].seal(plaintext, _LABEL + leaf)

    def open(self, case: UUID, leaf: Commitment, content: bytes, /) -> bytes | None:
        """Return what ``seal`` was given; ``None`` when there is no such case.

        Raises:
            VaultError: ``vault-altered``: the content is not what ``seal`` returned for this case and leaf.
        """
        cipher = self._ciphers.get(case)
        return None if cipher is None else cipher.open(content, _LABEL + leaf)
