"""The pages: which traces there are, one trace, the whole path of linked traces, who calls whom, what fails.

Every page works without JavaScript, asks nothing of another host and is written through templates that escape
whatever a sender put into a name.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import jinja2
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from deploy.traces import graph, reading
from deploy.traces.lanes import lanes
from deploy.traces.reading import Filter, LinkFrom, Summary
from deploy.traces.spans import LinkTo, Span, SpanId, Speaker, TraceId
from deploy.traces.store import Store
from deploy.traces.waterfall import Axis, Row, rows
from deploy.traces.words import Reader, iso
from shared.words import direction

HERE: Final = Path(__file__).parent
COLOURS: Final = 8
MOST_ROWS: Final = 2_000
"""How many spans a page shows; of a larger trace it shows the first."""

PLOT_HEIGHT: Final = 96
PLOT_MARGIN: Final = 10


@dataclass(frozen=True, slots=True)
class Joint:
    """The other end of a link: a trace, a span of it, and who made that span, if it is kept here."""

    trace: TraceId
    span: SpanId
    speaker: Speaker | None


@dataclass(frozen=True, slots=True)
class Leg:
    """One trace of a path: its summary, its rows on the common axis, and what links it to other traces."""

    summary: Summary
    rows: Sequence[Row]
    comes_from: Mapping[SpanId, Sequence[Joint]]
    goes_on: Mapping[SpanId, Sequence[Joint]]


@dataclass(frozen=True, slots=True)
class Dot:
    """A trace in the overview: ``x`` in percent, ``y`` and ``r`` in pixels."""

    summary: Summary
    x: float
    y: float
    r: float


class Pages:
    """Answers requests for pages from one store."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def routes(self) -> list[Route]:
        """Return the routes of all pages and of what they are made with."""
        return [
            Route("/", self.traces),
            Route("/traces/{trace}", self.trace),
            Route("/paths/{trace}", self.path),
            Route("/services", self.services),
            Route("/failures", self.failures),
            Route("/style.css", lambda _: FileResponse(HERE / "static" / "style.css")),
            Route("/icon.svg", lambda _: FileResponse(HERE / "static" / "icon.svg")),
        ]

    def traces(self, request: Request) -> Response:
        """List the traces that the form asks for."""
        asked = dict(request.query_params)
        try:
            wanted, unclear = Filter.model_validate(asked), False
        except ValidationError:
            wanted, unclear = Filter(), True
        found = reading.find(self._store, wanted, self._now())
        older = {**asked, "before": str(found[-1].started)} if len(found) == wanted.limit else None
        return self._page(
            request,
            "traces.html",
            wanted=wanted,
            unclear=unclear,
            found=found,
            dots=_dots(found),
            slowest=max((each.duration for each in found), default=1) or 1,
            fastest=min((each.duration for each in found), default=1),
            older=urlencode(older) if older else None,
        )

    def trace(self, request: Request) -> Response:
        """Show one trace along time."""
        trace = TraceId(request.path_params["trace"])
        spans = self._store.trace(trace)
        if not spans:
            return self._page(request, "unknown.html", status=404)
        axis = Axis.plain(spans)
        (summary,) = reading.summaries(self._store, [trace])
        leg = self._leg(summary, spans, axis)
        return self._page(request, "trace.html", leg=leg, axis=axis, path=len(reading.path(self._store, trace)))

    def path(self, request: Request) -> Response:
        """Show all traces that hang together, on one axis, without the time in which nothing ran."""
        trace = TraceId(request.path_params["trace"])
        ids = reading.path(self._store, trace)
        kept = reading.summaries(self._store, ids)
        if not kept:
            return self._page(request, "unknown.html", status=404)
        spans = {each.id: self._store.trace(each.id) for each in kept}
        axis = Axis.folded([span for each in spans.values() for span in each])
        legs = [self._leg(each, spans[each.id], axis) for each in kept]
        return self._page(
            request,
            "path.html",
            legs=legs,
            axis=axis,
            picture=lanes([span for each in spans.values() for span in each], axis),
            asked=trace,
            elsewhere=len(set(ids) - spans.keys()),
            organisations=sorted({speaker.organisation for each in kept for speaker in each.speakers}),
        )

    def services(self, request: Request) -> Response:
        """Show who calls whom."""
        within = self._within(request)
        calls = reading.calls(self._store, within, self._now())
        drawing = graph.draw(reading.speakers(self._store), calls)
        return self._page(request, "services.html", within=within, calls=calls, drawing=drawing, shape=graph)

    def failures(self, request: Request) -> Response:
        """Show what fails, alike with alike."""
        within = self._within(request)
        return self._page(
            request, "failures.html", within=within, found=reading.failures(self._store, within, self._now())
        )

    @staticmethod
    def _within(request: Request) -> str | None:
        within = request.query_params.get("within")
        return within if within in reading.WITHIN else None

    def _leg(self, summary: Summary, spans: Sequence[Span], axis: Axis) -> Leg:
        comes_from = {span.id: [self._joint(link) for link in span.links] for span in spans if span.links}
        goes_on: dict[SpanId, list[Joint]] = {}
        for link in reading.links_to(self._store, summary.id):
            goes_on.setdefault(link.at, []).append(self._joint(link))
        return Leg(summary, rows(spans, axis)[:MOST_ROWS], comes_from, goes_on)

    def _joint(self, link: LinkTo | LinkFrom) -> Joint:
        return Joint(link.trace, link.span, reading.speaker_of(self._store, link))

    def _page(self, request: Request, template: str, status: int = 200, **shown: object) -> Response:
        reader = Reader.of(request.headers.get("accept-language", ""))
        everybody = reading.speakers(self._store)
        text = self._templates.get_template(template).render(
            **shown,
            speakers=everybody,
            colour=_colours(everybody),
            language=reader.language,
            direction=direction(reader.language),
            here=request.url.path,
            withins=_within_words(reader),
            iso=iso,
            _=reader.say,
            _n=reader.count,
            number=reader.number,
            duration=reader.duration,
            moment=reader.moment,
        )
        headers = {"Content-Language": reader.language, "Vary": "Accept-Language"}
        return HTMLResponse(text, status, headers)


def _within_words(reader: Reader) -> dict[str, str]:
    return {"5m": reader.say("5 minutes"), "1h": reader.say("1 hour"), "1d": reader.say("1 day")}


def _colours(speakers: Iterable[Speaker]) -> Callable[[Speaker | None], int]:
    """Give every service a colour that is the same on every page."""
    colours = {speaker: number % COLOURS for number, speaker in enumerate(speakers)}
    return lambda speaker: colours.get(speaker, 0) if speaker else 0


def _dots(found: Sequence[Summary]) -> list[Dot]:
    """Place traces by when they began and, on a logarithmic scale, by how long they took."""
    if not found:
        return []
    began, ended = found[-1].started, found[0].started
    heights = [math.log10(max(each.duration, 1_000)) for each in found]
    low, high = min(heights), max(heights)
    usable = PLOT_HEIGHT - 2 * PLOT_MARGIN
    return [
        Dot(
            summary=each,
            x=round(1.5 + 92 * (each.started - began) / (ended - began or 1), 2),
            y=round(PLOT_HEIGHT - PLOT_MARGIN - usable * ((height - low) / (high - low) if high > low else 0.5), 1),
            r=round(min(3 + math.sqrt(each.spans) / 2, 9), 1),
        )
        for each, height in zip(found, heights, strict=True)
    ]
