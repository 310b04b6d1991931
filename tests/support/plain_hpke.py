"""HPKE in base mode, spelt out from RFC 9180 and the X-Wing draft over bare primitives: slow, plain, for tests only.

It shares no line with ``shared.sealing`` and does not use the library's HPKE, so that tests can tell whether the two
agree on what ``docs/protocol/envelope.md`` names: KEM 0x647a or 0x0020, HKDF-SHA256 (0x0001), AES-256-GCM (0x0002).
"""

import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEM_IDS = {1: 0x647A, 2: 0x0020}
ENC_BYTES = {1: 1120, 2: 32}


def inbox_public(suite: int, secret: bytes) -> bytes:
    if suite == 1:
        mlkem, x25519 = _x_wing_halves(secret)
        return mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def wrap(suite: int, public: bytes, info: bytes, content_key: bytes) -> bytes:
    ephemeral = X25519PrivateKey.generate()
    ephemeral_public = ephemeral.public_key().public_bytes_raw()
    dh = ephemeral.exchange(X25519PublicKey.from_public_bytes(public[-32:]))
    if suite == 1:
        mlkem_secret, mlkem_enc = MLKEM768PublicKey.from_public_bytes(public[:-32]).encapsulate()
        enc, shared_secret = mlkem_enc + ephemeral_public, _x_wing(mlkem_secret, dh, ephemeral_public, public[-32:])
    else:
        enc, shared_secret = ephemeral_public, _dhkem(dh, ephemeral_public, public)
    key, nonce = _key_and_nonce(suite, shared_secret, info)
    return enc + AESGCM(key).encrypt(nonce, content_key, b"")


def unwrap(suite: int, secret: bytes, info: bytes, wrapped: bytes) -> bytes:
    enc, sealed = wrapped[: ENC_BYTES[suite]], wrapped[ENC_BYTES[suite] :]
    public = inbox_public(suite, secret)
    if suite == 1:
        mlkem, x25519 = _x_wing_halves(secret)
        dh = x25519.exchange(X25519PublicKey.from_public_bytes(enc[-32:]))
        shared_secret = _x_wing(mlkem.decapsulate(enc[:-32]), dh, enc[-32:], public[-32:])
    else:
        dh = X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(enc))
        shared_secret = _dhkem(dh, enc, public)
    key, nonce = _key_and_nonce(suite, shared_secret, info)
    return AESGCM(key).decrypt(nonce, sealed, b"")


def _extract(salt: bytes, suite_id: bytes, label: bytes, material: bytes) -> bytes:
    """LabeledExtract, RFC 9180, section 4."""
    return hmac.digest(salt, b"HPKE-v1" + suite_id + label + material, "sha256")


def _expand(secret: bytes, suite_id: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """LabeledExpand, RFC 9180, section 4, for one block."""
    labelled = struct.pack(">H", length) + b"HPKE-v1" + suite_id + label + info
    return hmac.digest(secret, labelled + b"\x01", "sha256")[:length]


def _key_and_nonce(suite: int, shared_secret: bytes, info: bytes) -> tuple[bytes, bytes]:
    """KeySchedule in base mode with HKDF-SHA256 and AES-256-GCM, RFC 9180, section 5.1."""
    suite_id = b"HPKE" + struct.pack(">HHH", KEM_IDS[suite], 0x0001, 0x0002)
    context = b"\x00" + _extract(b"", suite_id, b"psk_id_hash", b"") + _extract(b"", suite_id, b"info_hash", info)
    secret = _extract(shared_secret, suite_id, b"secret", b"")
    return _expand(secret, suite_id, b"key", context, 32), _expand(secret, suite_id, b"base_nonce", context, 12)


def _dhkem(dh: bytes, enc: bytes, public: bytes) -> bytes:
    """ExtractAndExpand of DHKEM(X25519, HKDF-SHA256), RFC 9180, section 4.1."""
    suite_id = b"KEM" + struct.pack(">H", KEM_IDS[2])
    return _expand(_extract(b"", suite_id, b"eae_prk", dh), suite_id, b"shared_secret", enc + public, 32)


def _x_wing(mlkem_secret: bytes, x25519_secret: bytes, x25519_enc: bytes, x25519_public: bytes) -> bytes:
    """X-Wing's combination of the two secrets, draft-connolly-cfrg-xwing-kem, section 5.3."""
    return hashlib.sha3_256(mlkem_secret + x25519_secret + x25519_enc + x25519_public + b"\\.//^\\").digest()


def _x_wing_halves(secret: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    expanded = hashlib.shake_256(secret).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])
