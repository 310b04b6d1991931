"""The sealed envelope: how one organisation writes to another through an exchange that neither of them trusts.

The format is specified, byte by byte, in ``docs/protocol/envelope.md``. Opening takes separate steps, because intake
verifies who speaks and cannot read, while referral reads:

    envelope = parse(raw)                 structure only: believe nothing yet
    envelope.verify(key)                  the sender's own signature, over everything
    body = open_body(envelope, inbox_key)

What must never happen: that a body is used before its envelope was verified (HPKE base mode and AES-GCM tell who may
read, never who wrote), that a length is trusted before it is checked, or that an error carries a byte of what was
refused.
"""

import hashlib
import hmac
import struct
from collections.abc import Sequence
from datetime import datetime
from os import urandom
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.contracts.ids import MessageId, OrganisationId
from shared.sealing.codes import EnvelopeCode, EnvelopeError
from shared.sealing.header import MAX_HEADER_BYTES, MAX_RECIPIENT_KEYS, Header
from shared.sealing.keys import InboxKey, InboxPublicKey, SigningKey, VerifyKey
from shared.sealing.suites import CONTENT_KEY_BYTES, TAG_BYTES, WRAP_BYTES, Suite
from shared.sealing.timestamp import rounded_down, rounded_up
from shared.values import dataclass

SIZES: Final = (4_096, 16_384, 65_536, 262_144)
"""The only lengths, in bytes, that an envelope may have: what is seen on the wire says little about what is inside."""

MAGIC: Final = b"RELAIS"
VERSION: Final = 1
SIGNATURE_LABEL: Final = b"org.relais.sealed.v1 signature\0"
WRAP_LABEL: Final = b"org.relais.sealed.v1 wrap\0"
COMMITMENT_LABEL: Final = b"org.relais.sealed.v1 commitment\0"

_PREAMBLE: Final = struct.Struct(">6sBBHH")
_BODY_LENGTH: Final = struct.Struct(">I")
_COMMITMENT_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_UNSIGNED: Final = bytes(_SIGNATURE_BYTES)
_NONCE: Final = bytes(12)
"""All zero: every content key encrypts one body and is never used again."""

_MIN_CIPHERTEXT_BYTES: Final = _BODY_LENGTH.size + TAG_BYTES
_FIXED_BYTES: Final = _PREAMBLE.size + _COMMITMENT_BYTES + _SIGNATURE_BYTES + _MIN_CIPHERTEXT_BYTES
_ALLOWED_SIZES: Final = frozenset(SIZES)
_SUITES: Final = {suite.value: suite for suite in Suite}


@dataclass(frozen=True, slots=True)
class Dispatch:
    """What the sender says on the outside. Times are rounded, and keys are named, when it is sealed."""

    id: MessageId
    source: OrganisationId
    recipient: OrganisationId
    sequence: int
    at: datetime
    expires: datetime


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope in its parts. Nothing of it is to be believed before :meth:`verify` has returned."""

    suite: Suite
    header: Header
    header_hash: bytes
    """SHA-256 of the header's bytes, as they came."""
    wraps: bytes
    """One wrapped content key for each of ``header.inbox_keys``, one after the other."""
    commitment: bytes
    signature: bytes
    ciphertext: bytes

    def verify(self, key: VerifyKey) -> None:
        """Check that ``key`` signed all of this: header, ciphertext, commitment, wraps and suite.

        Raises:
            EnvelopeError: ``envelope-unknown-key`` when the header names another key, ``envelope-unsigned`` or
                ``envelope-altered``.
        """
        if key.id != self.header.key_id:
            raise EnvelopeError(EnvelopeCode.UNKNOWN_KEY)
        if self.signature == _UNSIGNED:
            raise EnvelopeError(EnvelopeCode.UNSIGNED)
        signed = _signed_bytes(self.suite, self.header_hash, self.ciphertext, self.commitment, self.wraps)
        if not key.holds(self.signature, signed):
            raise EnvelopeError(EnvelopeCode.ALTERED)


def parse(raw: bytes) -> Envelope:
    """Take an envelope apart, without believing it: every length is checked before it is used.

    Raises:
        EnvelopeError: ``envelope-truncated``, ``envelope-oversized``, ``envelope-malformed``,
            ``envelope-unknown-version`` or ``envelope-unknown-suite``.
    """
    if len(raw) not in _ALLOWED_SIZES:
        raise EnvelopeError(EnvelopeCode.OVERSIZED if len(raw) > SIZES[-1] else EnvelopeCode.TRUNCATED)
    magic, version, suite_byte, header_bytes, wrap_count = _PREAMBLE.unpack_from(raw)
    suite = _suite(magic, version, suite_byte)
    if not 0 < header_bytes <= MAX_HEADER_BYTES or not 0 < wrap_count <= MAX_RECIPIENT_KEYS:
        raise EnvelopeError(EnvelopeCode.MALFORMED)
    wraps_bytes = wrap_count * WRAP_BYTES[suite]
    if len(raw) < _FIXED_BYTES + header_bytes + wraps_bytes:
        raise EnvelopeError(EnvelopeCode.MALFORMED)
    wraps_at = _PREAMBLE.size + header_bytes
    commitment_at = wraps_at + wraps_bytes
    signature_at = commitment_at + _COMMITMENT_BYTES
    ciphertext_at = signature_at + _SIGNATURE_BYTES
    encoded = raw[_PREAMBLE.size : wraps_at]
    header = Header.decode(encoded)
    if len(header.inbox_keys) != wrap_count:
        raise EnvelopeError(EnvelopeCode.MALFORMED)
    return Envelope(
        suite=suite,
        header=header,
        header_hash=_sha256(encoded),
        wraps=raw[wraps_at:commitment_at],
        commitment=raw[commitment_at:signature_at],
        signature=raw[signature_at:ciphertext_at],
        ciphertext=raw[ciphertext_at:],
    )


def open_body(envelope: Envelope, key: InboxKey) -> bytes:
    """Return what the sender wrote. Verify the envelope first: this step says nothing about who that was.

    Raises:
        EnvelopeError: ``envelope-unknown-key`` when it was not sealed to ``key``, ``envelope-unknown-suite`` when
            ``key`` is of the other suite, ``envelope-unopenable``, ``envelope-uncommitted`` or ``envelope-malformed``.
    """
    suite = envelope.suite
    if key.id not in envelope.header.inbox_keys:
        raise EnvelopeError(EnvelopeCode.UNKNOWN_KEY)
    if key.public.suite is not suite:
        raise EnvelopeError(EnvelopeCode.UNKNOWN_SUITE)
    start = envelope.header.inbox_keys.index(key.id) * WRAP_BYTES[suite]
    wrapped = envelope.wraps[start : start + WRAP_BYTES[suite]]
    content_key = key.unwrap(wrapped, _wrap_info(suite, envelope.header_hash))
    if content_key is None or len(content_key) != CONTENT_KEY_BYTES:
        raise EnvelopeError(EnvelopeCode.UNOPENABLE)
    if not hmac.compare_digest(_commitment(suite, content_key), envelope.commitment):
        raise EnvelopeError(EnvelopeCode.UNCOMMITTED)
    try:
        padded = AESGCM(content_key).decrypt(_NONCE, envelope.ciphertext, envelope.header_hash)
    except InvalidTag:
        raise EnvelopeError(EnvelopeCode.UNOPENABLE) from None
    return _unpadded(padded)


def seal(body: bytes, dispatch: Dispatch, signer: SigningKey, recipients: Sequence[InboxPublicKey]) -> bytes:
    """Return the envelope of ``body``, in the smallest size that takes it.

    ``recipients`` are 1 to 8 inbox keys of ``dispatch.recipient``, all of one suite.

    Raises:
        EnvelopeError: ``envelope-oversized`` when the body does not fit into the largest size; ``envelope-malformed``
            when no reader would take the header; ``envelope-unknown-suite`` when the keys are of several suites.
    """
    if not 0 < len(recipients) <= MAX_RECIPIENT_KEYS:
        raise EnvelopeError(EnvelopeCode.MALFORMED)
    suite = recipients[0].suite
    if any(recipient.suite is not suite for recipient in recipients):
        raise EnvelopeError(EnvelopeCode.UNKNOWN_SUITE)
    encoded = _header(dispatch, signer, recipients).encode()
    Header.decode(encoded)
    room = _ciphertext_bytes(suite, len(encoded), len(recipients), len(body))
    content_key = urandom(CONTENT_KEY_BYTES)
    header_hash = _sha256(encoded)
    padded = _BODY_LENGTH.pack(len(body)) + body.ljust(room - _MIN_CIPHERTEXT_BYTES, b"\0")
    ciphertext = AESGCM(content_key).encrypt(_NONCE, padded, header_hash)
    info = _wrap_info(suite, header_hash)
    wraps = b"".join(recipient.wrap(content_key, info) for recipient in recipients)
    commitment = _commitment(suite, content_key)
    signature = signer.sign(_signed_bytes(suite, header_hash, ciphertext, commitment, wraps))
    preamble = _PREAMBLE.pack(MAGIC, VERSION, suite, len(encoded), len(recipients))
    return b"".join((preamble, encoded, wraps, commitment, signature, ciphertext))


def _suite(magic: bytes, version: int, suite_byte: int) -> Suite:
    if magic != MAGIC:
        raise EnvelopeError(EnvelopeCode.MALFORMED)
    if version != VERSION:
        raise EnvelopeError(EnvelopeCode.UNKNOWN_VERSION)
    suite = _SUITES.get(suite_byte)
    if suite is None:
        raise EnvelopeError(EnvelopeCode.UNKNOWN_SUITE)
    return suite


def _header(dispatch: Dispatch, signer: SigningKey, recipients: Sequence[InboxPublicKey]) -> Header:
    return Header(
        id=dispatch.id,
        source=dispatch.source,
        time=rounded_down(dispatch.at),
        recipient=dispatch.recipient,
        expires=rounded_up(dispatch.expires),
        key_id=signer.id,
        inbox_keys=tuple(recipient.id for recipient in recipients),
        sequence=dispatch.sequence,
    )


def _ciphertext_bytes(suite: Suite, header_bytes: int, wrap_count: int, body_bytes: int) -> int:
    """Return the length that fills the smallest size which takes a body of ``body_bytes``."""
    before = _FIXED_BYTES - _MIN_CIPHERTEXT_BYTES + header_bytes + wrap_count * WRAP_BYTES[suite]
    for size in SIZES:
        if before + _MIN_CIPHERTEXT_BYTES + body_bytes <= size:
            return size - before
    raise EnvelopeError(EnvelopeCode.OVERSIZED)


def _unpadded(padded: bytes) -> bytes:
    """Return the body: four bytes of length, big-endian, then the body, then zeros to the end."""
    (length,) = _BODY_LENGTH.unpack_from(padded)
    end = _BODY_LENGTH.size + length
    if end > len(padded) or padded[end:] != bytes(len(padded) - end):
        raise EnvelopeError(EnvelopeCode.MALFORMED)
    return padded[_BODY_LENGTH.size : end]


def _signed_bytes(suite: Suite, header_hash: bytes, ciphertext: bytes, commitment: bytes, wraps: bytes) -> bytes:
    suite_byte = suite.to_bytes(1, "big")
    return b"".join((SIGNATURE_LABEL, suite_byte, header_hash, _sha256(ciphertext), commitment, _sha256(wraps)))


def _wrap_info(suite: Suite, header_hash: bytes) -> bytes:
    return WRAP_LABEL + suite.to_bytes(1, "big") + header_hash


def _commitment(suite: Suite, content_key: bytes) -> bytes:
    """Return SHA-256 over label, suite and content key: AES-GCM alone can be opened under two keys."""
    return _sha256(COMMITMENT_LABEL + suite.to_bytes(1, "big") + content_key)


def _sha256(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()
