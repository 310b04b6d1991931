"""Whether 32 bytes are a key of Curve25519 that may be trusted: the checks that libraries leave to their users.

OpenSSL loads any 32 bytes as an Ed25519 key, and accepts signatures that nobody made under a point of small order.
Both forms of the curve are looked at through one coordinate, the Montgomery u of RFC 7748; an Edwards y is carried over
by u = (1 + y) / (1 - y). Only public numbers come here, so nothing needs to run in constant time.
"""

from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from shared.sealing.codes import KeyCode

KEY_BYTES: Final = 32

_P: Final = 2**255 - 19
_A: Final = 486_662
_ANY_SCALAR: Final = X25519PrivateKey.from_private_bytes(bytes(KEY_BYTES))
"""Clamped to 2**254: a multiple of the cofactor that is no multiple of the group's order."""


def ed25519_fault(raw: bytes) -> KeyCode | None:
    """Return why ``raw`` is no Ed25519 public key (RFC 8032, 5.1.3) to trust, or ``None``."""
    if len(raw) != KEY_BYTES:
        return KeyCode.WRONG_LENGTH
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _P:
        return KeyCode.NON_CANONICAL
    if y == 1:
        return KeyCode.LOW_ORDER
    u = (1 + y) * pow(1 - y, -1, _P) % _P
    if _is_low_order(u):
        return KeyCode.LOW_ORDER
    return None if _is_on_curve(u) else KeyCode.NON_CANONICAL


def x25519_fault(raw: bytes) -> KeyCode | None:
    """Return why ``raw`` is no X25519 public key (RFC 7748, 5) to trust, or ``None``. The twist's points are keys."""
    if len(raw) != KEY_BYTES:
        return KeyCode.WRONG_LENGTH
    u = int.from_bytes(raw, "little")
    if u >= _P:
        return KeyCode.NON_CANONICAL
    return KeyCode.LOW_ORDER if _is_low_order(u) else None


def _is_low_order(u: int) -> bool:
    """Tell whether eight times the point is nothing: OpenSSL refuses the shared secret then (RFC 7748, 6.1)."""
    try:
        _ANY_SCALAR.exchange(X25519PublicKey.from_public_bytes(u.to_bytes(KEY_BYTES, "little")))
    except ValueError:
        return True
    return False


def _is_on_curve(u: int) -> bool:
    """Tell whether u³ + Au² + u is a square, by Euler's criterion: otherwise the point is the twist's."""
    return pow((u * u + _A * u + 1) * u, (_P - 1) // 2, _P) == 1
