"""How much of a request is read, and for how long: never more than may be needed, whoever sends it.

What is refused is answered with a problem.

Starlette's own limit (``max_body_size``) answers a body that is announced as too long in plain text, without a code;
that is why it is not used.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.contracts.problem import ProblemCode
from shared.web.problem import Problem, render
from shared.words import Words

_DIGITS: Final = 18
_CLOSE: Final = {"Connection": "close"}
"""What is not read would otherwise be taken for the next request (RFC 9112, 9.3)."""


class Limited:
    """Refuses a body longer than ``largest`` bytes, or that is not all there after some ``seconds``.

    One whose length is announced as too long is not read, any other is when it goes past it.
    """

    def __init__(self, app: ASGIApp, words: Words, largest: int, seconds: float) -> None:
        """Wrap ``app``, and answer with ``words``."""
        self._app = app
        self._words = words
        self._largest = largest
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and announced(Headers(scope=scope)) > self._largest:
            refusal = Problem(413, ProblemCode.TOO_LARGE, headers=_CLOSE)
            await render(Request(scope), self._words, refusal)(scope, receive, send)
            return
        read = 0
        until: float | None = asyncio.get_running_loop().time() + self._seconds

        async def counted() -> Message:
            nonlocal read, until
            try:
                async with asyncio.timeout_at(until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, headers=_CLOSE) from None
            if not message.get("more_body", False):
                until = None  # what comes now is that the caller has gone
            read += len(message.get("body", b""))
            if read > self._largest:
                raise HTTPException(413, headers=_CLOSE)
            return message

        await self._app(scope, counted, send)


async def read_body(request: Request, largest: int) -> bytes:
    """Return the body; of one that is longer than ``largest`` bytes, read no more than one chunk too many.

    Raises:
        Problem: 413 ``request-too-large``.
    """
    chunks: list[bytes] = []
    size = announced(request.headers)
    if size <= largest:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            chunks.append(chunk)
            if size > largest:
                break
    if size > largest:
        raise Problem(413, ProblemCode.TOO_LARGE, headers=_CLOSE)
    return b"".join(chunks)


def announced(headers: Mapping[str, str]) -> int:
    """Return what ``Content-Length`` says, in bytes; 0 where it says nothing that can be read."""
    length = headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        return 0
    return int(length[:_DIGITS]) if len(length) <= _DIGITS else 10**_DIGITS
