"""The part of an envelope that the exchange can see: CloudEvents attributes, and nothing else.

The header has exactly one spelling: JSON with these members in this order, without spaces. So one regular expression is
its whole grammar, no two readers can understand it differently, and its bytes can be signed as they are.

What must never happen: that an attribute is added which says anything about a person, a case or a conversation.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Self

from shared.contracts.ids import ORGANISATION_PATTERN, KeyId, MessageId, OrganisationId
from shared.sealing.codes import EnvelopeCode, EnvelopeError
from shared.sealing.keys import KEY_ID_PATTERN
from shared.sealing.timestamp import ROUNDED_PATTERN, decode_time, encode_time
from shared.uuids import uuid_of
from shared.values import dataclass

TYPE: Final = "org.relais.sealed.v1"
CONTENT_TYPE: Final = "application/vnd.relais.sealed"
"""The AMQP property ``content_type`` and the HTTP header ``Content-Type`` of every envelope."""
MAX_HEADER_BYTES: Final = 1_024
MAX_RECIPIENT_KEYS: Final = 8
MAX_LIFETIME: Final = timedelta(days=31)

_SEQUENCE_DIGITS: Final = 16
_ORGANISATION: Final = rf'(?=[^"]{{1,40}}"){ORGANISATION_PATTERN.strip("^$")}'
_GRAMMAR: Final = re.compile(
    r'\{"specversion":"1\.0",'
    r'"id":"(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})",'
    rf'"source":"(?P<source>{_ORGANISATION})",'
    rf'"type":"{re.escape(TYPE)}",'
    rf'"time":"(?P<time>{ROUNDED_PATTERN})",'
    rf'"recipient":"(?P<recipient>{_ORGANISATION})",'
    rf'"expires":"(?P<expires>{ROUNDED_PATTERN})",'
    rf'"keyid":"(?P<keyid>{KEY_ID_PATTERN})",'
    rf'"inboxkeys":"(?P<inboxkeys>{KEY_ID_PATTERN}(?:,{KEY_ID_PATTERN}){{0,{MAX_RECIPIENT_KEYS - 1}}})",'
    rf'"sequence":"(?P<sequence>(?!0+")[0-9]{{{_SEQUENCE_DIGITS}}})"\}}',
)


@dataclass(frozen=True, slots=True)
class Header:
    """Who writes to whom, when, and with which keys."""

    id: MessageId
    """Random (RFC 9562, version 4); the receipt names it."""
    source: OrganisationId
    time: datetime
    """When it was sealed, rounded down to ten minutes."""
    recipient: OrganisationId
    expires: datetime
    """From this moment on nobody may act on it: a multiple of ten minutes, at most 31 days after ``time``."""
    key_id: KeyId
    """The key of ``source`` that signed."""
    inbox_keys: tuple[KeyId, ...]
    """The keys of ``recipient`` that open it, 1 to 8, each once, in the order of the wraps."""
    sequence: int
    """Counts from 1, without a gap, what this source has sealed for this recipient with keys of the same purpose."""

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """Read the header's bytes.

        Raises:
            EnvelopeError: ``envelope-malformed``.
        """
        try:
            return cls._read(encoded.decode("ascii"))
        except ValueError:
            raise EnvelopeError(EnvelopeCode.MALFORMED) from None

    @classmethod
    def _read(cls, text: str) -> Self:
        match = _GRAMMAR.fullmatch(text)
        if match is None or len(text) > MAX_HEADER_BYTES:
            raise EnvelopeError(EnvelopeCode.MALFORMED)
        header = cls(
            id=MessageId(uuid_of(match["id"])),
            source=OrganisationId(match["source"]),
            time=decode_time(match["time"]),
            recipient=OrganisationId(match["recipient"]),
            expires=decode_time(match["expires"]),
            key_id=KeyId(match["keyid"]),
            inbox_keys=tuple(map(KeyId, match["inboxkeys"].split(","))),
            sequence=int(match["sequence"]),
        )
        if not timedelta() < header.expires - header.time <= MAX_LIFETIME:
            raise EnvelopeError(EnvelopeCode.MALFORMED)
        if len(set(header.inbox_keys)) != len(header.inbox_keys):
            raise EnvelopeError(EnvelopeCode.MALFORMED)
        return header

    def encode(self) -> bytes:
        """Return the one spelling of this header, in ASCII."""
        return json.dumps(self.attributes(), separators=(",", ":")).encode("ascii")

    def attributes(self) -> dict[str, str]:
        """Return the CloudEvents attributes, in the order in which they are signed."""
        return {
            "specversion": "1.0",
            "id": str(self.id),
            "source": self.source,
            "type": TYPE,
            "time": encode_time(self.time),
            "recipient": self.recipient,
            "expires": encode_time(self.expires),
            "keyid": self.key_id,
            "inboxkeys": ",".join(self.inbox_keys),
            "sequence": f"{self.sequence:0{_SEQUENCE_DIGITS}d}",
        }

    def check_recipient(self, us: OrganisationId) -> None:
        """Refuse what is addressed to somebody else.

        Raises:
            EnvelopeError: ``envelope-not-for-us``.
        """
        if self.recipient != us:
            raise EnvelopeError(EnvelopeCode.NOT_FOR_US)


def ce_headers(header: Header) -> dict[str, str]:
    """Return the headers that go beside an envelope, on AMQP and HTTP alike: CloudEvents binary mode with ``ce-``."""
    return {f"ce-{name}": value for name, value in header.attributes().items()}


def check_ce_headers(header: Header, headers: Mapping[str, object]) -> None:
    """Refuse an envelope whose ``ce-`` headers say anything else than what is signed; other headers are not looked at.

    Raises:
        EnvelopeError: ``envelope-mislabelled``.
    """
    said = {name.lower(): value for name, value in headers.items() if name.lower().startswith("ce-")}
    if said != ce_headers(header):
        raise EnvelopeError(EnvelopeCode.MISLABELLED)
