"""A way to a server that can be cut: everything goes through it, until it falls silent or is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CHUNK_BYTES = 65_536


@dataclass
class Relay:
    """A port of its own, behind which a server stands."""

    server_port: int
    port: int = 0
    _listening: asyncio.Server | None = None
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _open: asyncio.Event = field(default_factory=asyncio.Event)

    async def come_back(self) -> None:
        """Take connections, at the same port as before, and carry what was kept back."""
        self._open.set()
        if self._listening is not None and self._listening.is_serving():
            return
        self._listening = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        self.port = self._listening.sockets[0].getsockname()[1]

    def fall_silent(self) -> None:
        """Keep every connection, and carry nothing any more."""
        self._open.clear()

    def go(self) -> None:
        """Close the port and every connection."""
        if self._listening is not None:
            self._listening.close()
        for writer in self._writers:
            writer.close()
        self._open.set()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        self._writers += [writer, server_writer]
        await asyncio.gather(self._carry(reader, server_writer), self._carry(server_reader, writer))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                await self._open.wait()
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def relay(server_port: int) -> AsyncIterator[Relay]:
    """Give a way to the server at ``server_port``; nothing of it is left afterwards."""
    way = Relay(server_port)
    await way.come_back()
    try:
        yield way
    finally:
        way.go()
