"""The frame reads no more of a body than it must, and says so with a problem."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request
from pydantic import BaseModel

from shared.contracts.ids import OrganisationId
from shared.telemetry.traces import Telemetry
from shared.web.body import announced, read_body
from shared.web.frame import make_app

LARGEST, SMALLER = 1_000, 100
router = APIRouter()


class Said(BaseModel):
    """Any body that FastAPI reads by itself."""

    text: str


@router.post("/parsed")
async def parsed(said: Said) -> int:
    """Let FastAPI read the body."""
    return len(said.text)


@router.post("/raw")
async def raw(request: Request) -> int:
    """Read a smaller body than the frame allows."""
    return len(await read_body(request, SMALLER))


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, bool]:
        return {}

    telemetry = Telemetry.start("intake", OrganisationId("abri-be"))
    app = make_app(
        "Test",
        telemetry=telemetry,
        lifespan=lifespan,
        ready=ready,
        routers=[router],
        largest_body_bytes=LARGEST,
        body_seconds=60,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


def chunks(count: int, read: list[int]) -> Callable[[], AsyncIterator[bytes]]:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(count):
            read.append(50)
            yield b" " * 50

    return body


@pytest.mark.parametrize(("route", "most"), [("/parsed", LARGEST), ("/raw", SMALLER)])
@pytest.mark.parametrize("length", [None, 100_000, "9" * 5_000])
async def test_what_is_too_long_is_refused_as_a_problem(
    client: httpx.AsyncClient, route: str, most: int, length: int | str | None
) -> None:
    read: list[int] = []
    headers = {"content-type": "application/json", "accept-language": "en"}
    headers |= {"content-length": str(length)} if length else {}
    answer = await client.post(route, content=chunks(2_000, read)(), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert answer.json()["code"] == "request-too-large"
    assert sum(read) <= most + 100
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_what_fits_is_read(client: httpx.AsyncClient) -> None:
    assert (await client.post("/parsed", json={"text": "x" * 900})).json() == 900
    assert (await client.post("/raw", content=b"x" * SMALLER)).json() == SMALLER
    assert (await client.post("/raw", content=b"")).json() == 0


@pytest.mark.parametrize(("said", "length"), [("12", 12), ("", 0), ("-1", 0), ("1e9", 0), ("٣", 0)])
def test_a_length_that_cannot_be_read_says_nothing(said: str, length: int) -> None:
    assert announced({"content-length": said}) == length
