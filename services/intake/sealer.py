"""What intake signs and seals in its organisation's name: receipts for partners, reports for its own referral service.

Intake holds a key to sign with and no key to open with. It seals to public keys that the directory vouches for, and
what it has sealed it cannot read again.

What must never happen: an envelope without the next number of its recipient, or a number without its envelope.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from services.intake.domain.admission import Arrival
from services.intake.store import numbers
from shared.contracts.event import Event
from shared.contracts.ids import MessageId, OrganisationId
from shared.messaging.outbox import Letter
from shared.sealing.codes import DirectoryError
from shared.sealing.directory import Directory
from shared.sealing.envelope import Dispatch, parse, seal
from shared.sealing.header import ce_headers
from shared.sealing.keyring import Keyring
from shared.sealing.keys import InboxPublicKey, KeyPurpose
from shared.sealing.receipts import Receipt, make_receipt
from shared.storage.pool import Connection
from shared.telemetry.logs import get_logger

LIFETIME: Final = timedelta(days=30)
"""How long what intake seals may be acted on: a partner that is away for some weeks still gets its receipts."""

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an envelope is handed over: which broker, which exchange, which routing key, and what goes beside it."""

    broker: str
    exchange: str
    routing_key: str
    headers: Mapping[str, str] = field(default_factory=dict)
    labelled: bool = False
    """Whether the ``ce-`` headers go beside it."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event to seal: for whom, and where to hand it over."""

    to: OrganisationId
    event: Event
    place: Place


class Sealer:
    """Intake's keyring and directory, put to use."""

    def __init__(self, us: OrganisationId, keyring: Keyring, directory: Directory) -> None:
        """Take whose intake this is, the key to sign with, and the keys to seal to."""
        self._us = us
        self._keyring = keyring
        self._directory = directory

    def receipt(self, arrival: Arrival, leaf: bytes, at: datetime) -> str:
        """Return the signed note that ``arrival`` was taken ``at``, and stands in our audit log as ``leaf``.

        Raises:
            KeyringError: ``keyring-key-missing``: our receipt key has run out.
        """
        receipt = Receipt(arrival.sender, self._us, arrival.id, arrival.digest, at, leaf)
        return make_receipt(receipt, self._keyring.signing_key(KeyPurpose.RECEIPT, at))

    async def seal(self, connection: Connection, outgoing: Sequence[Outgoing], at: datetime) -> list[Letter]:
        """Return a letter for each event, numbered in the transaction of ``connection``.

        An organisation that has published no key to seal to gets none, and takes no number; the log says so.

        Raises:
            KeyringError: ``keyring-key-missing``: our receipt key has run out.
            EnvelopeError: ``envelope-oversized``.
        """
        keys = self._inbox_keys({each.to for each in outgoing}, at)
        sealable = [each for each in outgoing if each.to in keys]
        if not sealable:
            return []
        taken = await numbers.take(connection, [each.to for each in sealable])
        return [self._letter(each, keys[each.to], next(taken[each.to]), at) for each in sealable]

    def _inbox_keys(self, recipients: set[OrganisationId], at: datetime) -> dict[OrganisationId, InboxPublicKey]:
        keys = {}
        for recipient in recipients:
            try:
                keys[recipient] = self._directory.book.inbox_key(recipient, at)
            except DirectoryError as refused:
                log.warning("envelope.unsealed", recipient=recipient, reason=refused.code)
        return keys

    def _letter(self, outgoing: Outgoing, key: InboxPublicKey, number: int, at: datetime) -> Letter:
        dispatch = Dispatch(MessageId(uuid4()), self._us, outgoing.to, number, at, at + LIFETIME)
        signer = self._keyring.signing_key(KeyPurpose.RECEIPT, at)
        body = outgoing.event.model_dump_json(exclude_none=True).encode()
        envelope = seal(body, dispatch, signer, [key])
        place = outgoing.place
        headers = dict(place.headers)
        if place.labelled:
            headers |= ce_headers(parse(envelope).header)
        return Letter(dispatch.id, place.broker, place.exchange, place.routing_key, headers, envelope)
