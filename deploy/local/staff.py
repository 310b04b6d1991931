"""A member of staff of one node, as the demo plays them: over the API, with a token, as any program would."""

import asyncio
import time
from types import TracebackType
from typing import Any, Final, Self

import httpx

from deploy.broker.topology import BrokerRole
from deploy.local.network import Node
from shared.contracts.services import API

PATIENCE_SECONDS: Final = 30.0
LOOK_SECONDS: Final = 0.02


class DemoError(Exception):
    """The story did not go on as it should have; the message has codes and ids only."""


class Worker:
    """Somebody who does casework at one organisation."""

    def __init__(self, node: Node) -> None:
        """Take whose node."""
        self.organisation = node.organisation
        self._client = httpx.AsyncClient(
            base_url=f"{node.url(BrokerRole.REFERRAL)}{API}",
            headers={"Authorization": f"Bearer {node.tokens['casework']}"},
            trust_env=False,
            timeout=PATIENCE_SECONDS,
        )
        self._paths: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        """Keep connections open until the block ends."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close them."""
        await self._client.aclose()

    async def get(self, path: str) -> Any:  # noqa: ANN401 - JSON of the API
        """Look at something."""
        return _answer(await self._client.get(path))

    async def post(self, path: str, body: object = None) -> Any:  # noqa: ANN401
        """Do something."""
        return _answer(await self._client.post(path, json=body))

    async def put(self, path: str, body: object) -> None:
        """Write something."""
        _answer(await self._client.put(path, json=body))

    async def step(self, referral: str, step: str, body: object = None) -> Any:  # noqa: ANN401
        """Say one step of a referral's life; both organisations call the ``referral`` so."""
        return await self.post(f"{await self._path(referral)}/{step}", body)

    async def papers(self, referral: str) -> Any:  # noqa: ANN401
        """Read what was disclosed and said about a referral."""
        return await self.get(f"{await self._path(referral)}/papers")

    async def sees(self, referral: str, status: str) -> Any:  # noqa: ANN401
        """Wait until the own store says that a referral stands at ``status``, and return it.

        Raises:
            DemoError: it does not come to that.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        seen = "nothing"
        while time.monotonic() < deadline:
            if path := await self._path(referral):
                found = await self.get(path)
                seen = found["status"]
                if seen == status:
                    return found
            await asyncio.sleep(LOOK_SECONDS)
        message = f"{self.organisation} waits for {status} and sees {seen}: {referral}"
        raise DemoError(message)

    async def _path(self, referral: str) -> str:
        """Return where the node shows a referral: under its own alias; empty where it has none of that name yet."""
        if referral not in self._paths:
            answer = await self._client.post("/referrals/find", json={"exchange_id": referral})
            if answer.status_code == httpx.codes.NOT_FOUND:
                return ""
            self._paths[referral] = f"/referrals/{_answer(answer)['id']}"
        return self._paths[referral]


def _answer(answer: httpx.Response) -> Any:  # noqa: ANN401
    if answer.is_success:
        return answer.json() if answer.content else None
    body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
    detail = " ".join(f"{name}={code}" for name, code in body.get("detail", {}).items())
    message = f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {body.get('code', '')} {detail}"
    raise DemoError(message)
