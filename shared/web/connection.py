"""A connection of HTTP: nobody keeps one by being slow, or for nothing, and there are only so many at a time.

uvicorn has no limit for a head that comes byte by byte, nor for what goes on coming after the answer. Its limit of
connections (``limit_concurrency``) counts one only when its request is complete, and refuses in plain text, without a
code. How long a body may take is limited in :mod:`shared.web.body`, where the request can be answered.

What must never happen: an answer that takes long, such as a stream, is cut because its reader says nothing.
"""

import asyncio
from http import HTTPStatus
from typing import Any, Final

import h11
from fastapi import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.contracts.problem import ProblemCode
from shared.telemetry import metrics
from shared.telemetry.allowed import OTHER
from shared.values import dataclass
from shared.web.frame import SECURITY_HEADERS
from shared.web.problem import RETRY_SECONDS, Problem, render
from shared.words import Words

_NO_REQUEST: Final[dict[str, Any]] = {"type": "http", "headers": []}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections a service has open, and how many seconds one is kept for a head that is not complete."""

    connections: int
    seconds: float


class BoundedConnection(H11Protocol):
    """uvicorn's connection, with a timer that runs from its start and from each answer until the next head is there."""

    def __init__(self, *, service: str, words: Words, bounds: Bounds, **given: Any) -> None:  # noqa: ANN401 - uvicorn's
        """Take whose connection it is, in which words it refuses, its bounds, and what uvicorn gives."""
        super().__init__(**given)
        self._service = service
        self._words = words
        self._bounds = bounds
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Begin, or refuse one connection too many."""
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > self._bounds.connections:
            self._refuse(Problem(503, ProblemCode.BUSY, headers={"Retry-After": str(RETRY_SECONDS)}))

    def handle_events(self) -> None:
        """Let uvicorn read on; once it has a head, the request's own limits hold."""
        cycle = self.cycle
        super().handle_events()
        if self.cycle is not cycle:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """Wait for the next head. What is still sent of a body that nobody needed does not prolong it."""
        self._wait()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words, in plain text
        """Refuse what is not HTTP."""
        self._refuse(Problem(400, ProblemCode.MALFORMED))

    def _wait(self) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(self._bounds.seconds, self._lose_patience)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()

    def _lose_patience(self) -> None:
        """Close; if it was closed before and its caller does not take what was sent, drop it."""
        if self.transport.is_closing():
            self.transport.abort()
            return
        self._wait()
        begun, _ = self.conn.trailing_data
        if begun and self.conn.their_state is h11.IDLE:
            self._refuse(Problem(408, ProblemCode.TOO_SLOW))
        else:  # a caller that sent nothing would take an answer for that to its next request
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        """Answer in place of the application, and close."""
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()
            return
        answer = render(Request(_NO_REQUEST), self._words, problem)
        answer.headers.update({**SECURITY_HEADERS, "Connection": "close"})
        status = HTTPStatus(problem.status)
        for event in (
            h11.Response(status_code=status, headers=answer.raw_headers, reason=status.phrase),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        metrics.HTTP_REQUESTS.add(service=self._service, method=OTHER, route=OTHER, status=problem.status)
