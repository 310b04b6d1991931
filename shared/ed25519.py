"""Whether an Ed25519 signature holds (RFC 8032): the one place where the signatures of others are checked.

libsodium does it, by way of PyNaCl, in half of the time that OpenSSL takes, and more strictly: it refuses keys and
first halves of signatures that are points of low order or no canonical encoding, under which one signature may hold
for many messages (docs/decisions/0009). Source: https://www.rfc-editor.org/rfc/rfc8032#section-5.1.7.
"""

from typing import Final

from nacl.bindings import crypto_sign_open
from nacl.exceptions import BadSignatureError

PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


def holds(public: bytes, signature: bytes, signed: bytes) -> bool:
    """Tell whether the key ``public`` (32 bytes) made ``signature`` (64 bytes) over ``signed``."""
    if (len(public), len(signature)) != (PUBLIC_BYTES, SIGNATURE_BYTES):
        return False
    try:
        crypto_sign_open(signature + signed, public)
    except BadSignatureError:
        return False
    return True
