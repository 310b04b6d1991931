"""Reads server-sent events as a browser does (the HTML standard, 9.2.6)."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its type, its id and its data as JSON."""

    type: str
    id: str
    data: dict[str, Any]


class FeedReader:
    """One open stream."""

    def __init__(self, response: httpx.Response) -> None:
        """Take a response whose body is not read yet."""
        self.response = response
        self.comments = 0
        self._lines = response.aiter_lines()

    async def next(self, seconds: float = 5.0) -> Event:
        """Return the next event.

        Raises:
            TimeoutError: none came.
            EOFError: the stream has ended.
        """
        fields: dict[str, str] = {}
        async with asyncio.timeout(seconds):
            async for line in self._lines:
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    return Event(fields["event"], fields["id"], json.loads(fields["data"]))
                else:
                    fields = {}
        raise EOFError

    async def take(self, count: int) -> list[Event]:
        """Return the next ``count`` events."""
        return [await self.next() for _ in range(count)]

    async def ended(self, seconds: float = 5.0) -> bool:
        """Wait for the end of the stream; false when another event came instead."""
        try:
            await self.next(seconds)
        except EOFError:
            return True
        return False


@asynccontextmanager
async def follow(
    client: httpx.AsyncClient, token: str, path: str = "/feed", **headers: str
) -> AsyncIterator[FeedReader]:
    """Open a stream as the member whose ``token`` it is."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.stream("GET", path, headers={"Authorization": f"Bearer {token}", **named}) as response:
        assert response.status_code == 200, await response.aread()
        yield FeedReader(response)
