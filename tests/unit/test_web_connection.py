"""Nobody keeps a connection by being slow, there are only so many at a time, and a long answer is left alone."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from socket import socket

import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from shared.contracts.ids import OrganisationId
from shared.telemetry.traces import Telemetry
from shared.web.connection import Bounds
from shared.web.frame import make_app
from shared.web.server import Served, uvicorn_config
from tests.support.wait import until

pytestmark = pytest.mark.enable_socket

LIMIT = 0.3
CONNECTIONS = 3
A_WHILE = 10.0
"""Seconds, more than anything here takes."""

GET = b"GET /unread HTTP/1.1\r\nHost: node\r\n\r\n"
POST = (
    b"POST %b HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\n"
    b"Accept-Language: fr\r\nContent-Length: 90\r\n\r\n"
)


class Said(BaseModel):
    """Any body that FastAPI reads by itself."""

    text: str


@dataclass(frozen=True)
class Node:
    """A server under test."""

    port: int
    enough: asyncio.Event
    """Ends the answer that takes long."""
    ends: ExitStack
    """Ends what is connected."""
    connections: Collection[object]
    """What the server has open."""

    async def connect(self) -> "Caller":
        """Return a new connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.ends.callback(writer.close)
        return Caller(reader, writer)


@dataclass(frozen=True)
class Caller:
    """Somebody who is connected."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def dribble(self, text: bytes) -> bytes:
        """Send ``text`` byte by byte, and the last one again and again, until the other side has closed."""
        hearing = asyncio.create_task(self.hear())
        while not hearing.done():
            self.writer.write(text[:1])
            text = text[1:] or text
            await asyncio.wait([hearing], timeout=0.01)
        return await hearing

    async def ask(self, text: bytes) -> bytes:
        """Send ``text`` at once, and return what is answered until the other side closes."""
        self.writer.write(text)
        return await self.hear()

    async def hear(self) -> bytes:
        """Return what is said until the other side closes; it resets where it has not read all that was sent."""
        said = b""
        async with asyncio.timeout(A_WHILE):
            with suppress(ConnectionResetError):
                while more := await self.reader.read(4096):
                    said += more
        return said


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """Run a server with short limits."""
    enough = asyncio.Event()
    router = APIRouter()

    @router.post("/parsed")
    async def parsed(said: Said) -> str:
        return said.text

    @router.post("/raw")
    async def raw(request: Request) -> int:
        return len(await request.body())

    @router.api_route("/unread", methods=["GET", "POST"])
    async def unread() -> str:
        return "answered"

    @router.get("/large")
    async def large() -> Response:
        return Response(b" " * 50_000_000)

    @router.get("/long")
    async def long() -> StreamingResponse:
        async def words() -> AsyncIterator[bytes]:
            yield b"first "
            await enough.wait()
            yield b"last"

        return StreamingResponse(words())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, bool]:
        return {}

    telemetry = Telemetry.start("intake", OrganisationId("abri-be"))
    app = make_app("Test", telemetry=telemetry, lifespan=lifespan, ready=ready, routers=[router], body_seconds=LIMIT)
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        server = uvicorn.Server(uvicorn_config(Served("intake", app, "127.0.0.1", port, Bounds(CONNECTIONS, LIMIT))))
        running = asyncio.create_task(server.serve([listening]))

        async def started() -> bool:
            return server.started

        await until(started, seconds=A_WHILE, what="the server")
        with ExitStack() as ends:
            yield Node(port, enough, ends, server.server_state.connections)
        enough.set()
        server.should_exit = True
        await running


def refused(answer: bytes) -> tuple[str, str, str]:
    """Return the status, the type and the code of a refusal, after which the connection is closed."""
    head, _, body = answer.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"
    assert int(headers["content-length"]) == len(body.encode())
    return status.split(" ")[1], headers["content-type"], json.loads(body)["code"]


async def test_a_head_that_comes_byte_by_byte_is_refused(node: Node) -> None:
    caller = await node.connect()
    assert refused(await caller.dribble(GET[:-2] + b"x")) == ("408", "application/problem+json", "request-too-slow")


@pytest.mark.parametrize("path", [b"/parsed", b"/raw"])
async def test_a_body_that_comes_byte_by_byte_is_refused(node: Node, path: bytes) -> None:
    caller = await node.connect()
    caller.writer.write(POST % path)
    answer = await caller.dribble(b'{"text": " ')
    assert refused(answer) == ("408", "application/problem+json", "request-too-slow")
    assert "La requête a mis trop de temps" in answer.decode()


async def test_a_body_that_nobody_needs_does_not_keep_the_connection(node: Node) -> None:
    caller = await node.connect()
    caller.writer.write(POST.replace(b"90", b"900000") % b"/unread")
    assert (await caller.dribble(b" ")).startswith(b"HTTP/1.1 200 OK")


async def test_whoever_says_nothing_is_told_nothing(node: Node) -> None:
    assert await (await node.connect()).ask(b"") == b""
    answer = await (await node.connect()).ask(GET)
    assert (answer.count(b"HTTP/1.1 "), answer.endswith(b'"answered"')) == (1, True)


async def test_an_answer_that_is_not_taken_is_dropped(node: Node) -> None:
    caller = await node.connect()
    caller.writer.write(GET.replace(b"unread", b"large"))
    assert (await caller.reader.readline()).startswith(b"HTTP/1.1 200")
    await until(lambda: not node.connections, seconds=A_WHILE, what="the end of the connection")


async def test_what_is_not_http_is_a_problem(node: Node) -> None:
    answer = await (await node.connect()).ask(b"Good morning\r\n\r\n")
    assert refused(answer) == ("400", "application/problem+json", "request-malformed")


async def test_one_connection_too_many_is_refused_and_the_others_are_served(node: Node) -> None:
    here = [await node.connect() for _ in range(CONNECTIONS)]
    one_more = await node.connect()
    answer = await one_more.ask(b"")
    assert refused(answer) == ("503", "application/problem+json", "too-many-connections")
    assert b"retry-after: 5" in answer.lower()
    for answered in await asyncio.gather(*(caller.ask(GET) for caller in here)):
        assert b'"answered"' in answered
    assert b'"answered"' in await (await node.connect()).ask(GET)


async def test_an_answer_that_takes_long_is_not_cut(node: Node) -> None:
    listener = await node.connect()
    listener.writer.write(GET.replace(b"unread", b"long"))
    await listener.reader.readuntil(b"first ")
    for _ in range(2):  # each is there for as long as the limit
        await (await node.connect()).dribble(GET[:-2] + b"x")
    node.enough.set()
    assert b"last" in await listener.reader.readuntil(b"last")
