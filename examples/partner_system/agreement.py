"""What two organisations have both signed: docs/protocol/keys.md, section 6. It pins each other's identity."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from . import moments, notes
from .documents import owner, read_note, read_two_lines, require_signature, two_lines
from .envelope import is_organisation
from .keys import Kind, enrol
from .notes import Note, Verifier, read_vkey
from .refusal import Refused
from .values import Json, items, members, text

FORMAT = "org.relais.agreement.v1"
KINDS = frozenset({"health", "immigration", "police", "support"})
"""What an organisation may be to a person."""
KINDS_OF_REFERRAL = frozenset({"brokered", "service", "shared", "transfer"})
CONCLUDED_WITHIN = timedelta(weeks=8)
"""How long after its end the two still hear one another, so that what is under way can end."""
TRANSFER_BASES = frozenset({"adequacy", "standard_clauses", "binding_rules", "public_interest", None})


@dataclass(frozen=True, slots=True)
class Party:
    """One side of an agreement: who and what it is, and what it may send to the other."""

    organisation: str
    kind: str
    identity: Verifier
    may_send: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    """The consent of two organisations to exchange: in force from ``valid_from`` until just before ``valid_until``."""

    parties: tuple[Party, Party]
    valid_from: datetime
    valid_until: datetime
    transfer_basis: str | None

    def sides(self, own: str) -> tuple[Party, Party]:
        """Return our side and the other; raise ``document-malformed`` if we have none in it."""
        first, second = self.parties
        if own not in (first.organisation, second.organisation):
            raise Refused("document-malformed")
        return (first, second) if own == first.organisation else (second, first)

    def check_in_force(self, at: datetime) -> None:
        """Raise ``agreement-none`` before it begins, ``agreement-expired`` from its end on."""
        if at < self.valid_from:
            raise Refused("agreement-none")
        if at >= self.valid_until:
            raise Refused("agreement-expired")

    def check_heard(self, at: datetime) -> None:
        """Raise ``agreement-expired`` once nothing at all is said or heard under it any more."""
        if at >= self.valid_until + CONCLUDED_WITHIN:
            raise Refused("agreement-expired")

    def check_covers(self, said: datetime, at: datetime) -> None:
        """Raise as `check_in_force` unless it is in force at some time between that at which it was ``said`` and now.

        What was said before it began was said under one that it renewed.
        """
        if max(said, at) < self.valid_from:
            raise Refused("agreement-none")
        if min(said, at) >= self.valid_until:
            raise Refused("agreement-expired")

    def text(self) -> str:
        """Return the two lines that both sides sign."""
        stated: Json = {
            "parties": [
                {
                    "organisation": party.organisation,
                    "kind": party.kind,
                    "identity": party.identity.vkey,
                    "may_send": list(party.may_send),
                }
                for party in self.parties
            ],
            "valid_from": moments.written(self.valid_from),
            "valid_until": moments.written(self.valid_until),
            "transfer_basis": self.transfer_basis,
        }
        return two_lines(FORMAT, stated)

    @classmethod
    def read(cls, note: str, own: Verifier) -> Self:
        """Read an agreement that both sides have signed, starting from our own identity.

        Raises:
            Refused: ``document-malformed``, ``document-forged`` or ``document-unsigned``.
        """
        read = read_note(note)
        require_signature(read, own)
        return cls._signed_by_the_other(read, own)

    @classmethod
    def _signed_by_the_other(cls, read: Note, own: Verifier) -> Self:
        agreement = cls._stated(read)
        ours, other = agreement.sides(owner(own.name))
        if ours.identity != own:
            raise Refused("document-malformed")
        require_signature(read, other.identity)
        return agreement

    @classmethod
    def _stated(cls, read: Note) -> Self:
        stated = read_two_lines(read, FORMAT)
        try:
            first, second = (_party(members(item)) for item in items(stated["parties"]))
            basis = stated["transfer_basis"]
            agreement = cls(
                (first, second),
                moments.read(text(stated["valid_from"])),
                moments.read(text(stated["valid_until"])),
                None if basis is None else text(basis),
            )
        except (KeyError, TypeError, ValueError):
            raise Refused("document-malformed") from None
        in_order = first.organisation < second.organisation
        if not in_order or agreement.transfer_basis not in TRANSFER_BASES or agreement.text() != read.text:
            raise Refused("document-malformed")
        return agreement

    @classmethod
    def countersigned(cls, note: str, own: Verifier, identity: Ed25519PrivateKey) -> tuple[Self, str]:
        """Add our line to an agreement that the other side has signed, and that names our identity as it is.

        Signing says that the other's identity and kind in it are right: two people have compared the identities before,
        by another channel. A note that has our line already comes back as it is.
        """
        read = read_note(note)
        agreement = cls._signed_by_the_other(read, own)
        if own in read.signers([own]):
            return agreement, note
        return agreement, note + notes.signature_line(read.text, own.name, identity)


def _party(stated: Json) -> Party:
    organisation, kind = text(stated["organisation"]), text(stated["kind"])
    identity = read_vkey(text(stated["identity"]))
    may_send = tuple(text(item) for item in items(stated["may_send"]))
    if list(may_send) != sorted(KINDS_OF_REFERRAL & set(may_send)):
        raise ValueError
    if kind not in KINDS or not is_organisation(organisation) or identity.name != f"{organisation}/identity":
        raise ValueError
    try:
        enrol(Kind.ED25519, identity.public)
    except Refused:
        raise Refused("document-key-refused") from None
    return Party(organisation, kind, identity, may_send)
