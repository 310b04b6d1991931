"""Where a caller is: as the connection says, or as a proxy says whose word is believed."""

import httpx
import pytest
from fastapi import FastAPI, Request

from shared.web.connection import Bounds
from shared.web.server import Served, uvicorn_config
from shared.words import Words

CALLER = "2001:db8::7"


async def seen(peer: str, *proxies: str) -> str:
    """Return where the application sees somebody who comes by ``peer``, which says that it is :data:`CALLER`."""
    app = FastAPI()
    app.state.words = Words()

    @app.get("/")
    async def where(request: Request) -> str:
        return request.client.host if request.client else ""

    config = uvicorn_config(Served("intake", app, "127.0.0.1", 0, Bounds(1, 1.0), proxies))
    config.load()
    transport = httpx.ASGITransport(config.loaded_app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://door") as client:
        return str((await client.get("/", headers={"X-Forwarded-For": f"192.0.2.1, {CALLER}"})).json())


@pytest.mark.parametrize("peer", ["10.1.2.3", "::1"])
async def test_a_proxy_that_is_trusted_is_believed(peer: str) -> None:
    assert await seen(peer, "10.0.0.0/8", "::1/128") == CALLER


@pytest.mark.parametrize("peer", ["127.0.0.1", "172.18.0.1", CALLER])
async def test_nobody_else_is(peer: str) -> None:
    assert await seen(peer, "10.0.0.0/8") == peer
    assert await seen(peer) == peer
