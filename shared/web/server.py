"""Serves one or more applications in this process until told to stop, on the addresses that the settings name."""

import asyncio
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

import uvicorn
import uvloop
from fastapi import FastAPI

from shared.values import dataclass
from shared.web.connection import BoundedConnection, Bounds

BACKLOG = 2048


class PortTakenError(Exception):
    """A service cannot listen on its address; ``code`` is ``port-taken``: mostly another program has it already."""

    code = "port-taken"

    def __init__(self, name: str) -> None:
        """Take the service's ``name``."""
        super().__init__(f"{self.code}: {name}")
        self.name = name


class NotServedError(Exception):
    """A service could not start, or has ended by itself."""

    def __init__(self, name: str, failure: Exception | None) -> None:
        """Take the service's ``name`` and what it met, if that is known."""
        super().__init__(name)
        self.name = name
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Served:
    """An application, what it is called and where it listens."""

    name: str
    app: FastAPI
    host: str
    port: int
    bounds: Bounds
    proxies: Sequence[str] = ("127.0.0.1",)
    """Addresses and networks whose word is believed on where a caller is (``X-Forwarded-For``)."""


class _Server(uvicorn.Server):
    """A server that leaves signals to :func:`serve`, which stops all of them in order.

    uvicorn waits for every answer before it ends an application's lifespan, and a stream of events never ends by
    itself; so the application is told first, through ``app.state.on_stop``.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self.failed = False
        """Whether the application could not start, or not stop as it should."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop. uvicorn ends the whole process when one application cannot start: not here."""
        try:
            await super().serve(sockets)
        except SystemExit:
            self.failed = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then everything else."""
        for end in self._app.state.on_stop:
            end()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


def serve(services: Sequence[Served]) -> None:
    """Run ``services`` until SIGINT or SIGTERM, then stop them gracefully.

    Raises:
        PortTakenError: an address is in use; nothing was started.
        NotServedError: a service could not start, and the others were stopped.
    """
    uvloop.run(_serve([(each, _listen(each)) for each in services]))


async def _serve(services: Sequence[tuple[Served, socket.socket]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    servers = [_Server(uvicorn_config(served), served.app) for served, _ in services]
    running = [
        asyncio.create_task(server.serve([listening])) for server, (_, listening) in zip(servers, services, strict=True)
    ]
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([*running, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    for server, task in zip(servers, running, strict=True):
        server.should_exit = True
        if not server.started:  # it waits for its database or its broker, and would go on waiting
            task.cancel()
    ended = await asyncio.gather(*running, return_exceptions=True)
    for (served, _), server, result in zip(services, servers, ended, strict=True):
        if isinstance(result, Exception):
            raise result
        if server.failed:
            raise NotServedError(served.name, served.app.state.failure)


def _listen(served: Served) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in served.host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((served.host, served.port))
    except OSError:
        listening.close()
        raise PortTakenError(served.name) from None
    listening.listen(BACKLOG)
    return listening


def uvicorn_config(served: Served) -> uvicorn.Config:
    """Return what uvicorn is told: to log nothing, to say nothing of itself, whom to believe, and for how long."""
    connection = partial(BoundedConnection, service=served.name, words=served.app.state.words, bounds=served.bounds)
    return uvicorn.Config(
        served.app,
        http=cast("type[asyncio.Protocol]", connection),  # uvicorn calls it, and does nothing else with it
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        forwarded_allow_ips=list(served.proxies),
        timeout_graceful_shutdown=10,
        lifespan="on",
    )
