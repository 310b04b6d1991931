"""What goes wrong in a route is answered by what it is: to be asked again, or a fault of ours that the log tells."""

import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from shared.contracts.ids import OrganisationId
from shared.storage.pool import ContendedError
from shared.telemetry import logs
from shared.telemetry.traces import Telemetry
from shared.web.frame import make_app

UNWRITABLE = asyncpg.exceptions._base.DataError("Canary Name")  # noqa: SLF001 - another class has the public name
"""A value that cannot be written in the database's language: asyncpg derives it from what a lost connection is."""

PASSES = [
    ConnectionResetError(),
    TimeoutError(),
    asyncpg.CannotConnectNowError(),
    asyncpg.InterfaceError("closed"),
    asyncpg.QueryCanceledError(),
    asyncpg.LockNotAvailableError(),
    asyncpg.DeadlockDetectedError(),
    ContendedError(),
]
"""The database is away, or somebody else was in the way."""

OURS = [UNWRITABLE, asyncpg.CheckViolationError("Canary Name")]


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure("info", "json", stream)
    yield stream
    logs.restore()


async def answer_to(error: Exception) -> httpx.Response:
    """Return what a route answers that meets ``error``."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    async def ready() -> dict[str, bool]:
        return {}

    telemetry = Telemetry.start("intake", OrganisationId("abri-be"))
    app = make_app("Test", telemetry=telemetry, lifespan=lifespan, ready=ready, routers=[], body_seconds=1)

    @app.get("/")
    async def fail() -> None:
        raise error

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get("/")


@pytest.mark.parametrize("error", PASSES, ids=lambda error: type(error).__name__)
async def test_what_passes_is_asked_again(error: Exception, written: io.StringIO) -> None:
    answer = await answer_to(error)
    assert (answer.status_code, answer.json()["code"]) == (503, "try-again")
    assert int(answer.headers["retry-after"]) >= 1
    assert "request.failed" not in written.getvalue()


@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
async def test_what_does_not_pass_is_a_fault_of_ours_and_the_log_says_so(
    error: Exception, written: io.StringIO
) -> None:
    answer = await answer_to(error)
    assert (answer.status_code, answer.json()["code"]) == (500, "our-fault")
    assert "retry-after" not in answer.headers
    assert "request.failed" in written.getvalue()
    assert "Canary" not in written.getvalue() + answer.text
