"""What a caller is told when something cannot be done: RFC 9457, a stable code, and words in the caller's language.

An answer never repeats a value that came in, and tells forbidden and unknown apart from nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from shared.storage.pool import UNAVAILABLE
from shared.telemetry.logs import get_logger
from shared.words import Words

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that is wrong with a request: where (RFC 6901 pointer) and why."""

    pointer: str
    code: str


class Problem(Exception):  # noqa: N818 - an answer, not a fault
    """Why a request is not done. Raise it in a route; the frame renders it."""

    def __init__(
        self,
        status: int,
        code: str,
        *,
        fields: Sequence[Field] = (),
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


NOT_FOUND = "not-found"
"""What is unknown and what is forbidden are answered alike, with 404."""

_BY_STATUS = {
    400: "request-malformed",
    401: "not-signed-in",
    403: NOT_FOUND,
    404: NOT_FOUND,
    405: "method-not-allowed",
    413: "request-too-large",
    415: "media-type-unsupported",
}

_BY_PYDANTIC = {
    "missing": "field-missing",
    "extra_forbidden": "field-unknown",
    "enum": "code-unknown",
    "literal_error": "code-unknown",
    "string_too_long": "text-too-long",
    "too_long": "list-too-long",
    "string_too_short": "field-empty",
    "too_short": "field-empty",
    "json_invalid": "request-malformed",
}


def render(request: Request, words: Words, problem: Problem) -> JSONResponse:
    """Return the answer for ``problem``, in the language of ``request``."""
    language = words.for_request(request.headers.get("accept-language", ""))
    body: dict[str, Any] = {
        "type": f"urn:relais:problem:{problem.code}",
        "title": words.say(language, problem.code),
        "status": problem.status,
        "code": problem.code,
    }
    if problem.detail:
        body["detail"] = problem.detail
    if problem.fields:
        body["fields"] = [
            {"pointer": field.pointer, "code": field.code, "title": words.say(language, field.code)}
            for field in problem.fields
        ]
    headers = {**problem.headers, "Content-Language": language}
    return JSONResponse(body, problem.status, headers, MEDIA_TYPE)


def field_of(error: Mapping[str, Any], *, skip: int = 1) -> Field:
    """Return what one pydantic error says, without its input; ``skip`` leaves out where the value came from (``body``).

    Our own validators raise ``PydanticCustomError`` with a code of ours, which has a dash; pydantic's have none.
    """
    code = str(error["type"])
    known = code if "-" in code else _BY_PYDANTIC.get(code, "value-invalid")
    path = [str(part).replace("~", "~0").replace("/", "~1") for part in tuple(error["loc"])[skip:]]
    return Field("".join(f"/{part}" for part in path), known)


def install(app: FastAPI, words: Words) -> None:
    """Answer every failure of ``app`` as a problem."""

    async def problem(request: Request, error: Exception) -> JSONResponse:
        match error:
            case Problem():
                answer = error
            case RequestValidationError():
                answer = _invalid(error)
            case HTTPException():
                answer = Problem(error.status_code, _BY_STATUS.get(error.status_code, "request-refused"))
            case _ if isinstance(error, UNAVAILABLE):
                answer = Problem(503, "try-again", headers={"Retry-After": str(RETRY_SECONDS)})
            case _:
                log.error("request.failed", error=type(error).__name__)
                answer = Problem(500, "our-fault")
        return render(request, words, answer)

    for kind in (Problem, RequestValidationError, HTTPException, *UNAVAILABLE, Exception):
        app.add_exception_handler(kind, problem)


def _invalid(error: RequestValidationError) -> Problem:
    fields = [field_of(each) for each in error.errors()]
    if any(field.code == "request-malformed" for field in fields):
        return Problem(400, "request-malformed")
    return Problem(422, "fields-invalid", fields=fields)
