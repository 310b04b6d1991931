"""What a caller is told when something cannot be done: RFC 9457, a stable code, and words in the caller's language.

An answer never repeats a value that came in, and tells forbidden and unknown apart from nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from shared.contracts.problem import (
    MEDIA_TYPE,
    FieldCode,
    FieldProblem,
    ProblemCode,
    field_problems,
    problem_type,
)
from shared.sealing.codes import KeyringCode, KeyringError
from shared.storage.pool import CONTENDED, UNAVAILABLE, will_pass
from shared.telemetry.logs import get_logger
from shared.words import Words

RETRY_SECONDS = 5
KEY_RETRY_SECONDS = 600
"""A key of ours that has run out is not replaced in a moment."""

log = get_logger(__name__)


class Problem(Exception):  # noqa: N818 - an answer, not a fault
    """Why a request is not done. Raise it in a route; the frame renders it."""

    def __init__(
        self,
        status: int,
        code: str,
        *,
        fields: Sequence[FieldProblem] = (),
        detail: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Take the HTTP ``status``, the stable ``code``, and codes that say more; never a value that came in."""
        super().__init__(code)
        self.status = status
        self.code = code
        self.fields = tuple(fields)
        self.detail = dict(detail or {})
        self.headers = dict(headers or {})


NOT_FOUND = ProblemCode.NOT_FOUND
"""What is unknown and what is forbidden are answered alike, with 404."""

_BY_STATUS = {
    400: ProblemCode.MALFORMED,
    401: ProblemCode.NOT_SIGNED_IN,
    403: NOT_FOUND,
    404: NOT_FOUND,
    405: ProblemCode.METHOD,
    408: ProblemCode.TOO_SLOW,
    413: ProblemCode.TOO_LARGE,
    415: ProblemCode.MEDIA_TYPE,
}


def invalid(errors: Iterable[Mapping[str, Any]]) -> Problem:
    """Return the answer to a body or parameters that pydantic refuses; ``errors`` is what its ``errors()`` returns."""
    fields = field_problems(errors)
    if any(each.code == FieldCode.NOT_JSON for each in fields):
        return Problem(400, ProblemCode.MALFORMED)
    return Problem(422, ProblemCode.INVALID, fields=fields)


def try_again() -> Problem:
    """Return the answer to what the database cannot do now, and can in a moment."""
    return Problem(503, ProblemCode.AWAY, headers={"Retry-After": str(RETRY_SECONDS)})


def render(request: Request, words: Words, problem: Problem) -> JSONResponse:
    """Return the answer for ``problem``, in the language of ``request``."""
    language = words.for_request(request.headers.get("accept-language", ""))
    body: dict[str, Any] = {
        "type": problem_type(problem.code),
        "title": words.say(language, problem.code),
        "status": problem.status,
        "code": problem.code,
    }
    if problem.detail:
        body["detail"] = problem.detail
    if problem.fields:
        body["fields"] = [
            {"pointer": each.pointer, "code": each.code, "title": words.say(language, each.code)}
            for each in problem.fields
        ]
    headers = {**problem.headers, "Content-Language": language}
    return JSONResponse(body, problem.status, headers, MEDIA_TYPE)


def install(app: FastAPI, words: Words) -> None:
    """Answer every failure of ``app`` as a problem."""

    async def problem(request: Request, error: Exception) -> JSONResponse:
        match error:
            case Problem():
                answer = error
            case RequestValidationError():
                answer = invalid(error.errors())
            case HTTPException():
                code = _BY_STATUS.get(error.status_code, ProblemCode.REFUSED)
                answer = Problem(error.status_code, code, headers=error.headers)
            case _ if will_pass(error):
                answer = try_again()
            case KeyringError(code=KeyringCode.KEY_MISSING):
                answer = Problem(503, error.code, headers={"Retry-After": str(KEY_RETRY_SECONDS)})
            case _:
                log.error("request.failed", error=type(error).__name__)
                answer = Problem(500, ProblemCode.FAILED)
        return render(request, words, answer)

    for kind in (Problem, RequestValidationError, HTTPException, KeyringError, *UNAVAILABLE, *CONTENDED, Exception):
        app.add_exception_handler(kind, problem)
