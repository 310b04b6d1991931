"""A request is seen by the template of its route: never its path, query, headers, body or caller."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from opentelemetry.trace import StatusCode
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from shared.telemetry import metrics
from shared.telemetry.asgi import FASTAPI_OFF, Observed
from shared.telemetry.traces import Kind, current_traceparent, span_from
from tests.support.telemetry import Recorded, recorded

PERSONAL = {"name": "Aminata", "born": "1990-05-14"}


@pytest.fixture
def here() -> Iterator[Recorded]:
    """Trace everything, through the real gate."""
    with recorded("referral") as recording:
        yield recording


@pytest.fixture
async def client(here: Recorded) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of an application with every kind of route."""
    router = APIRouter(prefix="/referrals/{referral}")

    @router.get("/accept")
    async def accept(referral: str) -> str:
        with span_from(current_traceparent(), "referral.accept"):
            return referral

    @router.post("/fail")
    async def fail(referral: str) -> None:
        raise ValueError(referral)

    async def stream() -> StreamingResponse:
        async def events() -> AsyncIterator[str]:
            yield "data: 1\n\n"
            assert here.spans[-1].name == "GET /feed"
            yield "data: 2\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    def mounted(_: object) -> PlainTextResponse:
        return PlainTextResponse("fine")

    app = FastAPI(telemetry=FASTAPI_OFF)
    app.include_router(router, prefix="/api")
    app.add_api_route("/feed", stream, response_model=None)
    app.add_api_route("/health/live", lambda: "ok", response_model=None)
    app.router.routes.append(Mount("/pages", routes=[Route("/{page}", mounted)]))
    app.add_middleware(Observed, telemetry=here.telemetry)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("203.0.113.9", 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://aminata.example") as made:
        yield made


def requests(method: str, route: str, status: int) -> float:
    labels = {"service": "referral", "method": method, "route": route, "status": str(status)}
    return metrics.REGISTRY.get_sample_value("relais_http_requests_total", labels) or 0.0


async def test_a_request_is_a_span_with_the_template(client: httpx.AsyncClient, here: Recorded) -> None:
    before = requests("GET", "/api/referrals/{referral}/accept", 200)
    sent = "00-" + "a1" * 16 + "-" + "b2" * 8 + "-01"
    answer = await client.get(
        "/api/referrals/Aminata/accept",
        params=PERSONAL,
        headers={"user-agent": "Aminata", "traceparent": sent, "cookie": "who=Aminata"},
    )
    assert answer.status_code == 200
    inside, request = here.spans
    assert request.name == "GET /api/referrals/{referral}/accept"
    assert dict(request.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/api/referrals/{referral}/accept",
        "http.response.status_code": 200,
    }
    assert (request.kind, request.parent, request.status.status_code) == (Kind.SERVER, None, StatusCode.UNSET)
    assert inside.parent
    assert request.context
    assert inside.parent.span_id == request.context.span_id
    assert requests("GET", "/api/referrals/{referral}/accept", 200) == before + 1


async def test_nothing_of_the_request_is_said(client: httpx.AsyncClient, here: Recorded) -> None:
    for path in ("/api/referrals/Aminata/accept", "/Aminata", "/pages/Aminata", "/api/referrals/Aminata/fail"):
        await client.post(path, params=PERSONAL, json=PERSONAL)
        await client.get(path, params=PERSONAL)
    told = "".join(span.to_json() for span in here.spans) + metrics.render().decode()
    assert len(here.spans) >= 8
    for word in ("minata", "1990-05-14", "203.0.113.9", "aminata.example", "httpx"):
        assert word not in told


@pytest.mark.parametrize(
    ("method", "path", "name", "status"),
    [
        ("GET", "/pages/Aminata", "GET /pages/{page}", 200),
        ("GET", "/Aminata", "GET", 404),
        ("POST", "/api/referrals/Aminata/accept", "POST /api/referrals/{referral}/accept", 405),
        ("BREW", "/api/referrals/Aminata/accept", "other /api/referrals/{referral}/accept", 405),
    ],
)
async def test_every_answer_has_a_name(  # noqa: PLR0917
    client: httpx.AsyncClient, here: Recorded, method: str, path: str, name: str, status: int
) -> None:
    answer = await client.request(method, path)
    (request,) = here.spans
    assert (answer.status_code, request.name) == (status, name)


async def test_an_exception_is_a_failure_with_its_class_alone(client: httpx.AsyncClient, here: Recorded) -> None:
    assert (await client.post("/api/referrals/Aminata/fail")).status_code == 500
    request = here.span("POST /api/referrals/{referral}/fail")
    assert request.status.status_code is StatusCode.ERROR
    assert request.attributes
    assert request.attributes["error.type"] == "ValueError"
    assert request.attributes["http.response.status_code"] == 500


async def test_a_stream_is_told_when_it_begins(client: httpx.AsyncClient, here: Recorded) -> None:
    answer = await client.get("/feed")
    assert answer.text.count("data:") == 2
    assert [span.name for span in here.spans] == ["GET /feed"]


async def test_what_machines_ask_for_is_counted_and_not_traced(client: httpx.AsyncClient, here: Recorded) -> None:
    before = requests("GET", "/health/live", 200)
    await client.get("/health/live")
    assert here.spans == ()
    assert requests("GET", "/health/live", 200) == before + 1
