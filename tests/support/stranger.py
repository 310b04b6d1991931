"""What a stranger would write from ``docs/protocol/envelope.md`` alone: a second, plain implementation.

It shares no line with ``shared.sealing``. Tests let the two read one another, and use this one to make envelopes that
no honest sender would: each part of :class:`Parts` can be got wrong on purpose and signed all the same.
"""

import hashlib
import json
import struct
from dataclasses import dataclass, replace
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.support.plain_hpke import inbox_public, unwrap, wrap

WRAP_BYTES = {1: 1168, 2: 80}


def sha256(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()


def key_id(public: bytes) -> str:
    return sha256(public)[:16].hex()


def signing_public(secret: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def wrap_info(suite: int, header: bytes) -> bytes:
    return b"org.relais.sealed.v1 wrap\x00" + bytes([suite]) + sha256(header)


def commitment(suite: int, content_key: bytes) -> bytes:
    return sha256(b"org.relais.sealed.v1 commitment\x00" + bytes([suite]) + content_key)


def padded(body: bytes, length: int) -> bytes:
    return (struct.pack(">I", len(body)) + body).ljust(length, b"\x00")


@dataclass(frozen=True)
class Pair:
    """Who writes with which secret, and who reads with which."""

    suite: int
    signing: bytes
    inbox: tuple[bytes, ...]

    def header(self, **changes: str) -> bytes:
        """Return a header between the two, with ``changes``."""
        members = {
            "specversion": "1.0",
            "id": "0b5f9c6e-3f0a-4d7c-9a53-7d4a3f1f6c21",
            "source": "ccem-fr",
            "type": "org.relais.sealed.v1",
            "time": "2026-11-24T10:20:00Z",
            "recipient": "abri-be",
            "expires": "2026-12-01T10:30:00Z",
            "keyid": key_id(signing_public(self.signing)),
            "inboxkeys": ",".join(key_id(inbox_public(self.suite, secret)) for secret in self.inbox),
            "sequence": "0000000000000042",
        }
        return json.dumps(members | changes, separators=(",", ":")).encode()

    def parts(self, body: bytes, content_key: bytes, header: bytes | None = None, size: int = 4096) -> "Parts":
        """Return everything that goes into an honest envelope of ``size`` bytes."""
        header = header or self.header()
        info = wrap_info(self.suite, header)
        wraps = b"".join(wrap(self.suite, inbox_public(self.suite, secret), info, content_key) for secret in self.inbox)
        room = size - 12 - len(header) - len(wraps) - 32 - 64 - 16
        return Parts(
            suite=self.suite,
            signing=self.signing,
            header=header,
            wraps=wraps,
            count=len(self.inbox),
            commitment=commitment(self.suite, content_key),
            content_key=content_key,
            padded=padded(body, room),
        )


@dataclass(frozen=True)
class Parts:
    """Everything that goes into an envelope."""

    suite: int
    signing: bytes
    header: bytes
    wraps: bytes
    count: int
    commitment: bytes
    content_key: bytes
    padded: bytes

    def but(self, **changes: Any) -> Self:  # noqa: ANN401 - whatever a test wants to get wrong
        """Return the same with some parts changed."""
        return replace(self, **changes)

    @property
    def ciphertext(self) -> bytes:
        """The encrypted body."""
        return AESGCM(self.content_key).encrypt(bytes(12), self.padded, sha256(self.header))

    @property
    def signed(self) -> bytes:
        """What is signed."""
        label = b"org.relais.sealed.v1 signature\x00" + bytes([self.suite])
        return label + sha256(self.header) + sha256(self.ciphertext) + self.commitment + sha256(self.wraps)

    @property
    def signature(self) -> bytes:
        """The sender's signature."""
        return Ed25519PrivateKey.from_private_bytes(self.signing).sign(self.signed)

    @property
    def envelope(self) -> bytes:
        """All of it."""
        preamble = b"RELAIS\x01" + bytes([self.suite]) + struct.pack(">HH", len(self.header), self.count)
        return preamble + self.header + self.wraps + self.commitment + self.signature + self.ciphertext


def read(raw: bytes, sender: bytes, secret: bytes) -> bytes:
    """Verify an honest envelope with the ``sender``'s public key, and open it with an inbox ``secret``."""
    assert raw[:7] == b"RELAIS\x01"
    suite, (header_bytes, count) = raw[7], struct.unpack(">HH", raw[8:12])
    wraps_at = 12 + header_bytes
    at = wraps_at + count * WRAP_BYTES[suite]
    header, wraps = raw[12:wraps_at], raw[wraps_at:at]
    committed, signature, ciphertext = raw[at : at + 32], raw[at + 32 : at + 96], raw[at + 96 :]
    signed = b"org.relais.sealed.v1 signature\x00" + bytes([suite])
    signed += sha256(header) + sha256(ciphertext) + committed + sha256(wraps)
    Ed25519PublicKey.from_public_bytes(sender).verify(signature, signed)
    index = json.loads(header)["inboxkeys"].split(",").index(key_id(inbox_public(suite, secret)))
    wrapped = wraps[index * WRAP_BYTES[suite] :][: WRAP_BYTES[suite]]
    content_key = unwrap(suite, secret, wrap_info(suite, header), wrapped)
    assert committed == commitment(suite, content_key)
    plain = AESGCM(content_key).decrypt(bytes(12), ciphertext, sha256(header))
    (length,) = struct.unpack(">I", plain[:4])
    assert not plain[4 + length :].strip(b"\x00")
    return plain[4 : 4 + length]
