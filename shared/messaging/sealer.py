"""What a service seals in its organisation's name, numbered without a gap for each recipient.

A number is taken in the transaction that puts its envelope into the outbox, so that the count of one recipient
belongs to one transaction at a time, and a transaction that fails leaves no gap. What must never happen: an envelope
without the next number of its recipient, or a number without its envelope.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from shared.contracts.event import Event, encode, type_of
from shared.contracts.heard import EventType
from shared.contracts.ids import MessageId, OrganisationId
from shared.messaging import places
from shared.messaging.outbox import Letter
from shared.messaging.places import Broker
from shared.sealing.codes import DirectoryError, KeyringError
from shared.sealing.directory import Directory
from shared.sealing.envelope import Dispatch, parse, seal
from shared.sealing.header import CONTENT_TYPE, ce_headers
from shared.sealing.keyring import Keyring
from shared.sealing.keys import InboxPublicKey, KeyPurpose, SigningKey
from shared.storage.pool import Connection
from shared.telemetry.logs import get_logger
from shared.uuids import random_uuid
from shared.values import dataclass

LIFETIME: Final = timedelta(days=30)
"""How long an envelope may be acted on: a partner that is away for some weeks still hears what was said."""

TAKE: Final = """
INSERT INTO dispatch AS mine (recipient, last)
SELECT recipient, count FROM unnest($1::text[], $2::bigint[]) AS wanted (recipient, count)
ORDER BY recipient
ON CONFLICT (recipient) DO UPDATE SET last = mine.last + excluded.last
RETURNING recipient, last
"""


log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event to seal, for a partner or for our own referral service."""

    to: OrganisationId
    event: Event
    traceparent: str | None = None
    """The trace in which it was decided: sealed with the event, and beside it only where it stays within the node."""


class Sealer:
    """A service's keyring and directory, put to use."""

    def __init__(self, us: OrganisationId, keyring: Keyring, directory: Directory, purpose: KeyPurpose) -> None:
        """Take in whose name, the key to sign with, the keys to seal to, and what the signing key is for."""
        self._us = us
        self._keyring = keyring
        self._directory = directory
        self._purpose = purpose

    def hindrance(self, recipient: OrganisationId, at: datetime, types: Collection[EventType] = ()) -> str | None:
        """Return why nothing, or nothing of these ``types``, can be sealed for ``recipient`` now; ``None`` when it can.

        It is the code of what they or we lack, or of the agreement that ended long ago: :class:`DirectoryCode` or
        ``keyring-key-missing``. What is said within the organisation needs no agreement, and is heard.
        """
        book = self._directory.book
        try:
            if recipient != self._us:
                book.check_heard(recipient, at)
                book.check_hears(recipient, types)
            book.inbox_key(recipient, at)
            self._keyring.signing_key(self._purpose, at)
        except (DirectoryError, KeyringError) as refused:
            return refused.code
        return None

    async def seal(
        self, connection: Connection, outgoing: Sequence[Outgoing], at: datetime, *, leave_out: bool = False
    ) -> list[Letter]:
        """Return a letter for each event, in order, numbered in the transaction of ``connection``.

        With ``leave_out``, what cannot be sealed is left out and takes no number, and the log says why: for what may
        be, such as a receipt.

        Raises:
            DirectoryError: a recipient has published no key to seal to.
            KeyringError: ``keyring-key-missing``: our key has run out.
            EnvelopeError: ``envelope-oversized``.
        """
        ready = [each for one in outgoing for each in self._with_key(one, at, leave_out=leave_out)]
        if not ready:
            return []
        signer = self._keyring.signing_key(self._purpose, at)
        numbers = await _take(connection, [each.to for each, _ in ready])
        return [self._letter(each, key, signer, next(numbers[each.to]), at) for each, key in ready]

    def seal_in_place(self, outgoing: Outgoing, number: int, at: datetime) -> Letter:
        """Return a letter that takes the place, and the number, of one that has not left.

        It has an id of its own: a receipt for the first, should that have left after all, is not for other bytes.

        Raises:
            DirectoryError, KeyringError, EnvelopeError: as :meth:`seal`.
        """
        key = self._directory.book.inbox_key(outgoing.to, at)
        return self._letter(outgoing, key, self._keyring.signing_key(self._purpose, at), number, at)

    def _with_key(
        self, outgoing: Outgoing, at: datetime, *, leave_out: bool
    ) -> Iterator[tuple[Outgoing, InboxPublicKey]]:
        """Yield ``outgoing`` with its key as it is now: the directory may change while numbers are taken."""
        reason = self.hindrance(outgoing.to, at, (type_of(type(outgoing.event)),)) if leave_out else None
        if reason is None:
            yield outgoing, self._directory.book.inbox_key(outgoing.to, at)
        else:
            log.warning("envelope.unsealed", recipient=outgoing.to, reason=reason)

    def _letter(self, outgoing: Outgoing, key: InboxPublicKey, signer: SigningKey, number: int, at: datetime) -> Letter:
        dispatch = Dispatch(MessageId(random_uuid()), self._us, outgoing.to, number, at, at + LIFETIME)
        event = outgoing.event.model_copy(update={"traceparent": outgoing.traceparent})
        envelope = seal(encode(event), dispatch, signer, [key])
        if outgoing.to == self._us:
            return let_in(dispatch.id, envelope, outgoing.traceparent)
        headers = ce_headers(parse(envelope).header)
        exchange = places.from_exchange(self._us)
        return Letter(dispatch.id, Broker.EXCHANGE, exchange, outgoing.to, headers, CONTENT_TYPE, envelope)


def let_in(message: UUID, envelope: bytes, traceparent: str | None) -> Letter:
    """Return the letter that brings an envelope which has been verified to our own referral service."""
    headers = {places.VERDICT: places.VERIFIED} | ({"traceparent": traceparent} if traceparent else {})
    exchange = places.node_exchange(places.INTAKE)
    return Letter(message, Broker.NODE, exchange, places.REFERRAL, headers, CONTENT_TYPE, envelope)


async def _take(connection: Connection, recipients: Sequence[OrganisationId]) -> Mapping[OrganisationId, Iterator[int]]:
    """Return, for each of ``recipients``, as many further numbers as it is named times."""
    wanted = Counter(recipients)
    rows = await connection.fetch(TAKE, list(wanted), list(wanted.values()))
    last = {OrganisationId(row["recipient"]): int(row["last"]) for row in rows}
    return {
        recipient: iter(range(last[recipient] - count + 1, last[recipient] + 1)) for recipient, count in wanted.items()
    }
