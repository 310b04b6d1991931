"""The signed list of an organisation's keys, and of the events that it hears: docs/protocol/keys.md, section 5."""

import base64
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import moments, notes
from .documents import read_note, read_two_lines, require_signature, two_lines
from .keys import Kind, PublishedKey, Purpose, enrol, key_id, kinds_for
from .notes import Verifier
from .refusal import Refused
from .values import Json, items, members, number, text

FORMAT = "org.relais.keys.v1"
LARGEST_SERIAL = 2**53 - 1
MOST_KEYS = 256
MOST_TYPES = 256
LONGEST_TYPE = 64
TYPE = re.compile(r"[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)+\.v[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class KeyDocument:
    """The keys of an organisation, as it publishes them; ``serial`` grows with every document."""

    organisation: str
    serial: int
    issued: datetime
    hears: tuple[str, ...]
    """The types of events that it reads, in alphabetical order."""
    keys: tuple[PublishedKey, ...]

    def key(self, wanted: str) -> PublishedKey | None:
        """Return the key with an id."""
        return next((key for key in self.keys if key.id == wanted), None)

    def inbox(self, at: datetime) -> PublishedKey | None:
        """Return the key to seal to at a time: X-Wing first, then the one that came last."""
        holding = [key for key in self.keys if key.purpose is Purpose.INBOX and key.holds(at)]
        return max(holding, key=lambda key: (key.kind is Kind.X_WING, key.valid_from), default=None)

    def receipt_keys(self) -> tuple[PublishedKey, ...]:
        """Return the keys that may have signed a receipt, those that hold no longer included."""
        return tuple(key for key in self.keys if key.purpose is Purpose.RECEIPT)

    def text(self) -> str:
        """Return the two lines that are signed."""
        stated: Json = {
            "organisation": self.organisation,
            "serial": self.serial,
            "issued": moments.written(self.issued),
            "hears": list(self.hears),
            "keys": [_stated(key) for key in self.keys],
        }
        return two_lines(FORMAT, stated)

    def signed(self, identity: Ed25519PrivateKey) -> str:
        """Return the note to hand to partners."""
        return notes.signed(self.text(), f"{self.organisation}/identity", identity)

    @classmethod
    def read(cls, note: str, identity: Verifier) -> Self:
        """Read a key document that ``identity`` must have signed.

        Raises:
            Refused: ``document-malformed``, ``document-forged``, ``document-unsigned`` or ``document-key-refused``.
        """
        read = read_note(note)
        require_signature(read, identity)
        stated = read_two_lines(read, FORMAT)
        try:
            document = cls(
                text(stated["organisation"]),
                number(stated["serial"]),
                moments.read(text(stated["issued"])),
                tuple(text(item) for item in items(stated["hears"])),
                tuple(_read(members(item)) for item in items(stated["keys"])),
            )
        except (KeyError, TypeError, ValueError):
            raise Refused("document-malformed") from None
        in_range = 1 <= document.serial <= LARGEST_SERIAL and 1 <= len(document.keys) <= MOST_KEYS
        in_form = in_range and _in_form(document.hears) and document.text() == read.text
        if not in_form or identity.name != f"{document.organisation}/identity":
            raise Refused("document-malformed")
        document._enrol()
        return document

    def _enrol(self) -> None:
        for key in self.keys:
            try:
                enrol(key.kind, key.public)
            except Refused:
                raise Refused("document-key-refused") from None
        right = {key.id for key in self.keys if key.id == key_id(key.public)}
        if len(right) != len(self.keys):
            raise Refused("document-key-refused")


def _in_form(hears: tuple[str, ...]) -> bool:
    """Tell whether these are types of events, in alphabetical order, each once."""
    named = all(TYPE.fullmatch(each) and len(each) <= LONGEST_TYPE for each in hears)
    return named and len(hears) <= MOST_TYPES and list(hears) == sorted(set(hears))


def _stated(key: PublishedKey) -> Json:
    return {
        "purpose": key.purpose.value,
        "kind": key.kind.value,
        "id": key.id,
        "public": base64.b64encode(key.public).decode(),
        "valid_from": moments.written(key.valid_from),
        "valid_until": moments.written(key.valid_until),
    }


def _read(stated: Json) -> PublishedKey:
    key = PublishedKey(
        Purpose(text(stated["purpose"])),
        Kind(text(stated["kind"])),
        text(stated["id"]),
        notes.decode(text(stated["public"])),
        moments.read(text(stated["valid_from"])),
        moments.read(text(stated["valid_until"])),
    )
    if key.kind not in kinds_for(key.purpose):
        raise ValueError
    return key
