"""The sealed envelope, byte by byte: docs/protocol/envelope.md.

Reading goes in the order of section 8. Each check raises `Refused` with its code; none shows what it refused.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from . import moments
from .keys import InboxSecret, Kind, PublishedKey, inbox_public, kind_of
from .refusal import Refused

SIGNATURE_LABEL = b"org.relais.sealed.v1 signature\0"
WRAP_LABEL = b"org.relais.sealed.v1 wrap\0"
COMMITMENT_LABEL = b"org.relais.sealed.v1 commitment\0"

CONTENT_TYPE = "application/vnd.relais.sealed"
SIZES = (4096, 16384, 65536, 262144)
LONGEST_LIFE = timedelta(days=31)
MAGIC = b"RELAIS"
VERSION = 1
FIXED = 12
"""Length of what stands before the header: magic, version, suite, two lengths."""
DIGEST = 32
SIGNATURE = 64
TAG = 16
LENGTH = 4
"""Length of the number that says how long the body is."""
MOST_WRAPS = 8
LONGEST_HEADER = 1024
LONGEST_ID = 40
NONCE = bytes(12)

ORGANISATION = r"[a-z0-9]+(?:-[a-z0-9]+)*-[a-z]{2}"
UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d{2}-\d{2}T\d{2}:\d0:00Z"
HEADER = re.compile(
    r'\{"specversion":"1\.0",'
    rf'"id":"(?P<id>{UUID4})",'
    rf'"source":"(?P<source>{ORGANISATION})",'
    r'"type":"org\.relais\.sealed\.v1",'
    rf'"time":"(?P<time>{TIME})",'
    rf'"recipient":"(?P<recipient>{ORGANISATION})",'
    rf'"expires":"(?P<expires>{TIME})",'
    r'"keyid":"(?P<keyid>[0-9a-f]{32})",'
    r'"inboxkeys":"(?P<inboxkeys>[0-9a-f]{32}(?:,[0-9a-f]{32}){0,7})",'
    r'"sequence":"(?P<sequence>\d{16})"\}',
    re.ASCII,
)


def is_organisation(text: str) -> bool:
    """Tell whether a text has the form of an organisation's id."""
    return len(text) <= LONGEST_ID and re.fullmatch(ORGANISATION, text) is not None


@dataclass(frozen=True, slots=True)
class SuiteSize:
    """A suite and its lengths in bytes; what differs between the two is the KEM of HPKE alone."""

    number: int
    hpke: Suite
    encapsulated: int

    @property
    def wrap(self) -> int:
        """The length of one wrap: the encapsulated key, 32 encrypted bytes, and a tag."""
        return self.encapsulated + DIGEST + TAG


SUITES = {
    Kind.X_WING: SuiteSize(1, Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM), 1120),
    Kind.X25519: SuiteSize(2, Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM), 32),
}


@dataclass(frozen=True, slots=True)
class Header:
    """What the exchange can see: never anything about a person, a case or a conversation."""

    id: str
    source: str
    time: datetime
    recipient: str
    expires: datetime
    keyid: str
    inboxkeys: tuple[str, ...]
    sequence: int

    def attributes(self) -> dict[str, str]:
        """Return the ten members, in their order."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": "org.relais.sealed.v1",
            "time": moments.written(self.time),
            "recipient": self.recipient,
            "expires": moments.written(self.expires),
            "keyid": self.keyid,
            "inboxkeys": ",".join(self.inboxkeys),
            "sequence": f"{self.sequence:016d}",
        }

    def written(self) -> bytes:
        """Return the header in its one spelling."""
        return ("{" + ",".join(f'"{name}":"{value}"' for name, value in self.attributes().items()) + "}").encode()

    def labels(self) -> dict[str, str]:
        """Return the headers that go beside the envelope on AMQP and HTTP."""
        return {f"ce-{name}": value for name, value in self.attributes().items()}

    @classmethod
    def read(cls, written: bytes) -> Self:
        """Read a header; raise ``envelope-malformed`` for any other spelling."""
        found = HEADER.fullmatch(written.decode("latin-1"))
        if not found or not is_organisation(found["source"]) or not is_organisation(found["recipient"]):
            raise Refused("envelope-malformed")
        try:
            time, expires = moments.read(found["time"]), moments.read(found["expires"])
        except ValueError:
            raise Refused("envelope-malformed") from None
        inboxkeys = tuple(found["inboxkeys"].split(","))
        sequence = int(found["sequence"])
        if not time < expires <= time + LONGEST_LIFE or len(set(inboxkeys)) != len(inboxkeys) or not sequence:
            raise Refused("envelope-malformed")
        return cls(found["id"], found["source"], time, found["recipient"], expires, found["keyid"], inboxkeys, sequence)


@dataclass(frozen=True, slots=True)
class Sealed:
    """An envelope taken apart (steps 1 to 3). Nothing is known yet about who made it."""

    suite: SuiteSize
    header: Header
    header_digest: bytes
    wraps: tuple[bytes, ...]
    commitment: bytes
    signature: bytes
    ciphertext: bytes

    def signed(self) -> bytes:
        """Return what the signature is over."""
        return b"".join((
            SIGNATURE_LABEL,
            bytes([self.suite.number]),
            self.header_digest,
            hashlib.sha256(self.ciphertext).digest(),
            self.commitment,
            hashlib.sha256(b"".join(self.wraps)).digest(),
        ))  # fmt: skip

    def check_labels(self, labels: Mapping[str, object]) -> None:
        """Step 4: the headers beside the envelope say what the header says, and no other begins with ``ce-``."""
        given = [(name.lower(), value) for name, value in labels.items() if name.lower().startswith("ce-")]
        if len(given) != len(dict(given)) or dict(given) != self.header.labels():
            raise Refused("envelope-mislabelled")

    def check_signature(self, key: PublishedKey) -> None:
        """Step 7: ``key``, which `enrol` has passed, is the one that is named, and it signed."""
        if key.id != self.header.keyid:
            raise Refused("envelope-unknown-key")
        if self.signature == bytes(SIGNATURE):
            raise Refused("envelope-unsigned")
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(self.signature, self.signed())
        except InvalidSignature:
            raise Refused("envelope-altered") from None

    def check_time(self, at: datetime) -> None:
        """Step 9: not expired, and not from the future."""
        if at >= self.header.expires:
            raise Refused("envelope-expired")
        if self.header.time > at + moments.A_DAY:
            raise Refused("envelope-misdated")
        if self.header.time > at + moments.TEN_MINUTES:
            raise Refused("envelope-postdated")

    def body(self, secrets_at_hand: Mapping[str, InboxSecret]) -> bytes:
        """Steps 11 to 15: open with the first named of our inbox keys of its suite; the keys go by their ids."""
        fitting = {number: key for number, key in secrets_at_hand.items() if SUITES[kind_of(key)] is self.suite}
        named = [index for index, number in enumerate(self.header.inboxkeys) if number in fitting]
        if not named:
            raise Refused("envelope-unknown-key")
        content_key = self._unwrapped(named[0], fitting[self.header.inboxkeys[named[0]]])
        if _commitment(self.suite, content_key) != self.commitment:
            raise Refused("envelope-uncommitted")
        try:
            plain = AESGCM(content_key).decrypt(NONCE, self.ciphertext, self.header_digest)
        except InvalidTag:
            raise Refused("envelope-unopenable") from None
        end = LENGTH + int.from_bytes(plain[:LENGTH], "big")
        if end > len(plain) or any(plain[end:]):
            raise Refused("envelope-malformed")
        return plain[LENGTH:end]

    def _unwrapped(self, index: int, secret: InboxSecret) -> bytes:
        info = _wrap_info(self.suite, self.header_digest)
        try:
            content_key = self.suite.hpke.decrypt(self.wraps[index], secret, info)
        except (InvalidTag, ValueError):
            raise Refused("envelope-unopenable") from None
        if len(content_key) != DIGEST:
            raise Refused("envelope-unopenable")
        return content_key


def read(raw: bytes) -> Sealed:
    """Steps 1 to 3: take an envelope apart, and refuse every form but the one."""
    if len(raw) > SIZES[-1]:
        raise Refused("envelope-oversized")
    if len(raw) not in SIZES:
        raise Refused("envelope-truncated")
    if not raw.startswith(MAGIC):
        raise Refused("envelope-malformed")
    if raw[6] != VERSION:
        raise Refused("envelope-unknown-version")
    suite = next((suite for suite in SUITES.values() if suite.number == raw[7]), None)
    if suite is None:
        raise Refused("envelope-unknown-suite")
    header_length, wrap_count = int.from_bytes(raw[8:10], "big"), int.from_bytes(raw[10:12], "big")
    wraps_at = FIXED + header_length
    commitment_at = wraps_at + wrap_count * suite.wrap
    ciphertext_at = commitment_at + DIGEST + SIGNATURE
    if not 1 <= header_length <= LONGEST_HEADER or not 1 <= wrap_count <= MOST_WRAPS:
        raise Refused("envelope-malformed")
    if ciphertext_at + LENGTH + TAG > len(raw):
        raise Refused("envelope-malformed")
    header = Header.read(raw[FIXED:wraps_at])
    if len(header.inboxkeys) != wrap_count:
        raise Refused("envelope-malformed")
    return Sealed(
        suite=suite,
        header=header,
        header_digest=hashlib.sha256(raw[FIXED:wraps_at]).digest(),
        wraps=tuple(raw[at : at + suite.wrap] for at in range(wraps_at, commitment_at, suite.wrap)),
        commitment=raw[commitment_at : commitment_at + DIGEST],
        signature=raw[commitment_at + DIGEST : ciphertext_at],
        ciphertext=raw[ciphertext_at:],
    )


def seal(body: bytes, header: Header, signing: Ed25519PrivateKey, inboxes: Sequence[PublishedKey]) -> bytes:
    """Seal ``body`` to the inbox keys that the header names, which are of one kind, and sign it.

    Raises:
        Refused: ``envelope-oversized`` if no envelope has room for the body.
    """
    suite = SUITES[inboxes[0].kind]
    written = header.written()
    digest = hashlib.sha256(written).digest()
    content_key = secrets.token_bytes(DIGEST)
    info = _wrap_info(suite, digest)
    wraps = tuple(suite.hpke.encrypt(content_key, inbox_public(key.kind, key.public), info) for key in inboxes)
    around = FIXED + len(written) + len(wraps) * suite.wrap + DIGEST + SIGNATURE
    ciphertext = AESGCM(content_key).encrypt(NONCE, _padded(body, around), digest)
    sealed = Sealed(suite, header, digest, wraps, _commitment(suite, content_key), b"", ciphertext)
    return b"".join((
        MAGIC,
        bytes([VERSION, suite.number]),
        len(written).to_bytes(2, "big"),
        len(wraps).to_bytes(2, "big"),
        written,
        *wraps,
        sealed.commitment,
        signing.sign(sealed.signed()),
        ciphertext,
    ))  # fmt: skip


def _padded(body: bytes, around: int) -> bytes:
    """Return length, body and zero bytes, so that with ``around`` bytes more the smallest size is met that fits."""
    needed = around + LENGTH + len(body) + TAG
    size = next((size for size in SIZES if size >= needed), None)
    if size is None:
        raise Refused("envelope-oversized")
    return len(body).to_bytes(LENGTH, "big") + body + bytes(size - needed)


def _wrap_info(suite: SuiteSize, header_digest: bytes) -> bytes:
    return WRAP_LABEL + bytes([suite.number]) + header_digest


def _commitment(suite: SuiteSize, content_key: bytes) -> bytes:
    return hashlib.sha256(COMMITMENT_LABEL + bytes([suite.number]) + content_key).digest()
