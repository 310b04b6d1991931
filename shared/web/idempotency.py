"""The same request twice is one: how it is known again, with nothing kept that tells what it said.

A caller names a request with a random word of its own, ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header).
The inbox keeps two values, in clear and longer than the case that the request is about: neither may let somebody who
has the database try out guesses at a name or an address. So the word itself is never kept, and is the secret under
which what was said is hashed.
"""

import hmac
from hashlib import sha256
from uuid import UUID

ID_BYTES = 16


def request_id(purpose: str, *words: str) -> UUID:
    """Return the id of the request that its caller calls by ``words``, the key among them: always the same."""
    return UUID(bytes=sha256("\0".join((purpose, *words)).encode()).digest()[:ID_BYTES])


def fingerprint(key: str, said: bytes) -> bytes:
    """Return what tells ``said`` from anything else that comes under the same ``key``: 32 bytes, HMAC-SHA-256."""
    return hmac.digest(key.encode(), said, "sha256")
