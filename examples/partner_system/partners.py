"""Whom we know, and who is let in: agreements and key documents of our partners, and what follows from them alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from . import envelope
from .agreement import Agreement
from .envelope import Sealed
from .key_document import KeyDocument
from .keys import PublishedKey, Purpose
from .lanes import OWED, Said
from .refusal import Refused

VOICES = frozenset({Purpose.SIGNING, Purpose.RECEIPT})
"""The purposes of keys under which an organisation speaks to another."""


@dataclass(frozen=True, slots=True)
class Partner:
    """An organisation that we have agreed with, once or more often, and its keys."""

    agreements: tuple[Agreement, ...]
    """At least one; all pin the same identity."""
    document: KeyDocument

    def agreement(self, at: datetime) -> Agreement:
        """Return the one that counts: the last that has begun, or the first to begin: keys.md, section 6."""
        begun = [one for one in self.agreements if one.valid_from <= at]
        return max(begun, key=_beginning) if begun else min(self.agreements, key=_beginning)

    def last(self) -> Agreement:
        """Return the one that begins last: after it nothing is heard any more."""
        return max(self.agreements, key=_beginning)


@dataclass(frozen=True, slots=True)
class Partners:
    """All our partners, by their ids."""

    own: str
    known: Mapping[str, Partner]

    def get(self, organisation: str, at: datetime) -> Partner:
        """Return a partner, while an agreement is in force.

        Raises:
            Refused: ``organisation-unknown``, ``agreement-none`` or ``agreement-expired``.
        """
        partner = self._known(organisation)
        partner.agreement(at).check_in_force(at)
        return partner

    def may_send(self, organisation: str, kind: str, at: datetime) -> bool:
        """Tell whether the agreement lets us send a kind of referral."""
        ours, _ = self._known(organisation).agreement(at).sides(self.own)
        return kind in ours.may_send

    def hears(self, organisation: str, *types: str) -> bool:
        """Tell whether a partner's key document names all of these types of events."""
        return set(types) <= set(self._known(organisation).document.hears)

    def check_agreed(self, organisation: str, said: Said, at: datetime) -> None:
        """Raise as `get` unless the agreement lets an event out, or in: keys.md, section 6.

        What we owe a partner is said in codes alone.
        """
        if said.step not in OWED:
            self._known(organisation).agreement(at).check_covers(said.at, at)

    def may_leave(self, organisation: str, at: datetime, *, words: bool) -> bool:
        """Tell whether an envelope may be sent, the first time or again: keys.md, section 6.

        While no agreement is in force, none leaves with ``words`` about the person in it.
        """
        try:
            self._heard(organisation, at)
            if words:
                self.get(organisation, at)
        except Refused:
            return False
        return True

    def inbox(self, organisation: str, at: datetime) -> PublishedKey:
        """Return the key to seal to; raise ``key-unknown`` if the partner has none now."""
        inbox = self._heard(organisation, at).document.inbox(at)
        if inbox is None:
            raise Refused("key-unknown")
        return inbox

    def receipt_keys(self, organisation: str) -> tuple[PublishedKey, ...]:
        """Return the keys that a receipt of a partner may be signed with."""
        return self._known(organisation).document.receipt_keys()

    def admit(self, raw: bytes, labels: Mapping[str, object], at: datetime) -> tuple[Sealed, PublishedKey]:
        """Make the checks of envelope.md, section 8, up to step 9; return the envelope and the key that signed it.

        Raises:
            Refused: with the code of the first check that fails.
        """
        sealed = envelope.read(raw)
        sealed.check_labels(labels)
        header = sealed.header
        if header.recipient != self.own:
            raise Refused("envelope-not-for-us")
        key = self._known(header.source).document.key(header.keyid)
        if key is None:
            raise Refused("key-unknown")
        if not key.holds(at):
            raise Refused("key-expired")
        if key.purpose not in VOICES:
            raise Refused("key-wrong-purpose")
        sealed.check_signature(key)
        self._heard(header.source, at)
        sealed.check_time(at)
        return sealed, key

    def _heard(self, organisation: str, at: datetime) -> Partner:
        partner = self._known(organisation)
        partner.last().check_heard(at)
        return partner

    def _known(self, organisation: str) -> Partner:
        partner = self.known.get(organisation)
        if partner is None:
            raise Refused("organisation-unknown")
        return partner


def _beginning(agreement: Agreement) -> datetime:
    return agreement.valid_from
