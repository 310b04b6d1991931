"""Wait for a fact, never for a length of time: a test that sleeps is slow when it passes and wrong when it fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeVar, overload

Fact = TypeVar("Fact")

PAUSE_SECONDS = 0.01


@overload
async def until(predicate: Callable[[], Awaitable[Fact | None]], *, seconds: float = ..., what: str = ...) -> Fact: ...


@overload
async def until(predicate: Callable[[], Fact | None], *, seconds: float = ..., what: str = ...) -> Fact: ...


async def until(
    predicate: Callable[[], Fact | None] | Callable[[], Awaitable[Fact | None]],
    *,
    seconds: float = 5.0,
    what: str = "",
) -> Fact:
    """Ask ``predicate`` until it says something true, and return that.

    Args:
        predicate: a function or a coroutine function without arguments.
        seconds: how long to go on asking.
        what: the fact that is waited for, for the message when it does not come.

    Raises:
        TimeoutError: it has not become true; what the predicate raises goes through at once.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = predicate()
        said = await answer if isawaitable(answer) else answer
        if said:
            return said
        if time.monotonic() > deadline:
            message = f"not within {seconds:g} s: {what or getattr(predicate, '__name__', 'a fact')}"
            raise TimeoutError(message)
        await asyncio.sleep(PAUSE_SECONDS)
