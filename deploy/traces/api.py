"""The same answers as the pages, as JSON, for programs: the demo and the tests read what the pages show.

Times are RFC 3339 in UTC, durations milliseconds.
"""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from deploy.traces import reading
from deploy.traces.reading import Filter, Summary
from deploy.traces.spans import Span, Speaker, TraceId
from deploy.traces.store import Store
from deploy.traces.words import iso

_MILLISECOND = 1_000_000

Now = Callable[[], float]


def routes(store: Store, now: Now) -> list[Route]:
    """Return the routes under ``/api``; ``now`` tells the seconds since 1970."""

    def traces(request: Request) -> JSONResponse:
        try:
            wanted = Filter.model_validate(dict(request.query_params))
        except ValidationError as error:
            fields = sorted({str(each["loc"][0]) for each in error.errors(include_input=False)})
            return _problem(422, "bad-filter", fields=fields)
        found = reading.find(store, wanted, now())
        more = found[-1].started if len(found) == wanted.limit else None
        return JSONResponse({"traces": [_summary(each) for each in found], "before": more})

    def trace(request: Request) -> JSONResponse:
        wanted = TraceId(request.path_params["trace"])
        spans = store.trace(wanted)
        if not spans:
            return _problem(404, "unknown-trace")
        goes_on = [{"trace": each.trace, "span": each.span, "at": each.at} for each in reading.links_to(store, wanted)]
        return JSONResponse({"id": wanted, "spans": [_span(each) for each in spans], "goes_on_in": goes_on})

    def path(request: Request) -> JSONResponse:
        ids = reading.path(store, TraceId(request.path_params["trace"]))
        kept = reading.summaries(store, ids)
        if not kept:
            return _problem(404, "unknown-trace")
        elsewhere = sorted(set(ids) - {each.id for each in kept})
        return JSONResponse({"traces": [_summary(each) for each in kept], "elsewhere": elsewhere})

    def services(_: Request) -> JSONResponse:
        calls = [
            {
                "caller": _speaker(each.caller),
                "called": _speaker(each.called),
                "count": each.count,
                "failed": each.failed,
                "by_link": each.by_link,
            }
            for each in reading.calls(store, None, now())
        ]
        return JSONResponse({"services": [_speaker(each) for each in reading.speakers(store)], "calls": calls})

    def failures(_: Request) -> JSONResponse:
        found = [
            {
                **_speaker(each.speaker),
                "name": each.name,
                "code": each.code,
                "error": each.error,
                "count": each.count,
                "latest": iso(each.latest),
                "example": each.example,
            }
            for each in reading.failures(store, None, now())
        ]
        return JSONResponse({"failures": found})

    return [
        Route("/api/traces", traces),
        Route("/api/traces/{trace}", trace),
        Route("/api/paths/{trace}", path),
        Route("/api/services", services),
        Route("/api/failures", failures),
    ]


def _problem(status: int, code: str, **more: object) -> JSONResponse:
    """Answer as RFC 9457 has it."""
    return JSONResponse({"status": status, "code": code, **more}, status, media_type="application/problem+json")


def _speaker(speaker: Speaker) -> dict[str, str]:
    return {"organisation": speaker.organisation, "service": speaker.service}


def _summary(summary: Summary) -> dict[str, Any]:
    return {
        "id": summary.id,
        "started": iso(summary.started),
        "duration_ms": summary.duration / _MILLISECOND,
        "spans": summary.spans,
        "failed": summary.failed,
        "root": {**_speaker(summary.root), "name": summary.name},
        "services": [_speaker(each) for each in summary.speakers],
        "linked": summary.linked,
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "id": span.id,
        "parent": span.parent,
        **_speaker(span.speaker),
        "name": span.name,
        "kind": span.kind,
        "started": iso(span.started),
        "duration_ms": span.duration / _MILLISECOND,
        "failed": span.failed,
        "attributes": dict(span.attributes),
        "events": [
            {"name": event.name, "at": iso(event.at), "attributes": dict(event.attributes)} for event in span.events
        ],
        "links": [{"trace": link.trace, "span": link.span} for link in span.links],
    }
