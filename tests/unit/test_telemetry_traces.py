"""Spans cross a node with the message, reach another organisation as a link alone, and never carry a text."""

import asyncio
import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags, TraceState, get_current_span

from shared.contracts.ids import OrganisationId
from shared.telemetry import metrics, traces
from shared.telemetry.export import AllowListExporter
from shared.telemetry.traces import (
    Kind,
    Telemetry,
    begin_from,
    current_traceparent,
    link_to,
    span_from,
    traceparent_of,
)
from tests.support.telemetry import CANARIES, Recorded, recorded

SENT = "00-" + "a1" * 16 + "-" + "b2" * 8 + "-01"
NOT_SAMPLED = SENT[:-2] + "00"


class AlteredError(Exception):
    """An error of ours, with its stable code."""

    code = "envelope-altered"


@pytest.fixture
def here() -> Iterator[Recorded]:
    """Trace everything, through the real gate."""
    with recorded() as recording:
        yield recording


def said(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


@pytest.mark.parametrize("canary", CANARIES)
def test_no_text_leaves_on_a_span(here: Recorded, canary: str) -> None:
    tracer = here.telemetry.provider.get_tracer(canary or "x", attributes={"who": canary})
    link = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("k", "Aminata")]))
    with tracer.start_as_current_span(canary, attributes={"name": canary, "code": canary, canary: "ok"}) as made:
        made.add_event(canary, {"reason": canary, canary: "ok"})
        made.add_link(link, {"name": canary})
        made.record_exception(ValueError(canary))
        made.set_status(Status(StatusCode.ERROR, canary))
    (exported,) = here.spans
    assert not canary or canary not in exported.to_json()
    assert exported.name == "unnamed"
    assert said(exported) == {}
    assert [(event.name, dict(event.attributes or {})) for event in exported.events] == [
        ("unnamed", {}),
        ("exception", {}),
    ]
    assert exported.status.description is None
    assert not exported.links[0].context.trace_state


def test_a_resource_says_which_service_it_is_and_nothing_of_the_machine() -> None:
    telemetry = Telemetry.start("notify", OrganisationId("abri-be"), ratio=1.0)
    attributes = telemetry.provider.resource.attributes
    telemetry.stop()
    assert attributes["service.name"] == "notify"
    assert attributes["organisation"] == "abri-be"
    assert not [key for key in attributes if key.startswith(("host", "os", "process"))]


def test_the_trace_goes_with_the_message_through_the_outbox(here: Recorded) -> None:
    with (
        span_from(None, "receive to.ccem-fr"),
        span_from(current_traceparent(), "publish referral.in", Kind.PRODUCER),
    ):
        kept = current_traceparent()
    with span_from(kept, "process referral.in", attributes={"message_id": uuid4()}):
        pass
    received, published, processed = (
        here.span(name) for name in ("receive to.ccem-fr", "publish referral.in", "process referral.in")
    )
    assert published.context
    assert processed.parent
    assert received.context
    assert processed.parent.span_id == published.context.span_id
    assert processed.context.trace_id == received.context.trace_id
    assert len(str(said(processed)["message_id"])) == 36


def test_another_organisation_is_linked_and_never_a_parent(here: Recorded) -> None:
    with (
        span_from(None, "surrounding"),
        span_from(None, "receive to.ccem-fr", links=[link_to(SENT), link_to("nonsense")]),
    ):
        pass
    received = here.span("receive to.ccem-fr")
    assert received.parent is None
    assert received.context
    assert received.context.trace_id != here.span("surrounding").context.trace_id
    assert [f"{link.context.trace_id:032x}" for link in received.links] == ["a1" * 16]


@given(
    trace=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    flags=st.sampled_from(["00", "01", "02", "03"]),
)
def test_a_traceparent_is_read_as_it_was_written(trace: int, span_id: int, flags: str) -> None:
    written = f"00-{trace:032x}-{span_id:016x}-{flags}"
    with span_from(written.replace(flags, "00", 1) if flags == "00" else written, "process referral.in"):
        assert current_traceparent() == written


@given(st.one_of(st.none(), st.text(), st.from_regex(r"[0-9a-f-]{50,60}")))
def test_a_traceparent_that_cannot_be_read_is_none(text: str | None) -> None:
    assert link_to(text) is None or text is not None
    with span_from(text, "process referral.in") as current:
        assert current.get_span_context().is_valid == (link_to(text) is not None)


@pytest.mark.parametrize(
    "text", ["", "00-" + "0" * 32 + "-" + "b2" * 8 + "-01", "01" + SENT[2:], SENT + "-x", SENT.upper(), SENT + "\n"]
)
def test_what_w3c_forbids_is_no_traceparent(text: str) -> None:
    assert link_to(text) is None


def test_spans_of_a_batch_stand_side_by_side(here: Recorded) -> None:
    first = begin_from(SENT, "process referral.in", links=[link_to(SENT), None])
    second = begin_from(None, "process referral.in")
    assert current_traceparent() is None
    assert (traceparent_of(first) or "").startswith(SENT[:35])
    second.end()
    first.end()
    late, early = here.spans
    assert (late.parent, len(early.links)) == (None, 1)
    assert early.context
    assert f"{early.context.trace_id:032x}" == "a1" * 16


def test_a_span_of_a_batch_that_is_not_sampled_is_passed_on(here: Recorded) -> None:
    assert traceparent_of(begin_from(NOT_SAMPLED, "process referral.in")) == NOT_SAMPLED
    assert here.spans == ()
    assert traceparent_of(traces.NO_SPAN) is None


def test_an_unsampled_trace_is_passed_on_and_makes_no_span(here: Recorded) -> None:
    with span_from(NOT_SAMPLED, "process referral.in"):
        assert current_traceparent() == NOT_SAMPLED
    assert current_traceparent() is None
    assert here.spans == ()


def test_without_a_collector_nothing_is_made_and_a_context_is_passed_on() -> None:
    telemetry = Telemetry.start("intake", OrganisationId("ccem-fr"))
    with span_from(None, "receive to.ccem-fr"):
        assert current_traceparent() is None
    with span_from(SENT, "process referral.in"):
        assert current_traceparent() == SENT
    telemetry.stop()


def test_without_telemetry_the_helpers_do_nothing() -> None:
    with span_from(None, "receive to.ccem-fr"):
        assert not get_current_span().is_recording()
        traces.mark_failed("envelope-altered")
        assert current_traceparent() is None


def test_the_ratio_decides_for_new_traces_and_not_for_old_ones() -> None:
    telemetry = Telemetry.start("intake", OrganisationId("ccem-fr"), "http://127.0.0.1:9", ratio=1e-12)
    with span_from(None, "receive to.ccem-fr") as new:
        assert not new.is_recording()
    with span_from(SENT, "process referral.in") as old:
        assert old.is_recording()
    telemetry.stop()


def test_a_failure_is_its_class_and_its_code(here: Recorded) -> None:
    with pytest.raises(AlteredError), span_from(None, "envelope.verify"):
        raise AlteredError(CANARIES[0])
    with span_from(None, "envelope.open"):
        traces.mark_failed("key-unknown")
    verify, opened = here.span("envelope.verify"), here.span("envelope.open")
    assert said(verify) == {"error.type": "AlteredError", "code": "envelope-altered"}
    assert (verify.status.status_code, verify.events) == (StatusCode.ERROR, ())
    assert said(opened) == {"code": "key-unknown"}
    assert opened.status.status_code is StatusCode.ERROR


def test_a_cancelled_task_has_not_failed(here: Recorded) -> None:
    with pytest.raises(asyncio.CancelledError), span_from(None, "feed.wait"):
        raise asyncio.CancelledError
    assert here.span("feed.wait").status.status_code is StatusCode.UNSET


async def test_two_services_in_one_process_speak_for_themselves() -> None:
    async def service(name: str) -> str:
        with recorded(name) as mine, span_from(None, "work.done"):
            pass
        return str(mine.telemetry.scope.service) + ":" + str(len(mine.spans))

    assert list(await asyncio.gather(service("intake"), service("notify"))) == ["intake:1", "notify:1"]


class Collector(SpanExporter):
    """A collector that takes, refuses or breaks, as it is told."""

    def __init__(self) -> None:
        self.answer: SpanExportResult | Exception = SpanExportResult.SUCCESS
        self.asked = 0

    def export(self, spans: object) -> SpanExportResult:  # noqa: ARG002  # as SpanExporter has it
        """Answer as told."""
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def lost() -> float:
    return metrics.REGISTRY.get_sample_value("relais_telemetry_spans_total", {"outcome": "lost"}) or 0.0


@pytest.mark.parametrize("answer", [SpanExportResult.FAILURE, ConnectionError("to Aminata")])
def test_a_collector_that_is_away_is_left_alone_and_said_once(
    answer: SpanExportResult | Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 1000.0
    monkeypatch.setattr("shared.telemetry.export.monotonic", lambda: now)
    collector, before = Collector(), lost()
    gate = AllowListExporter(collector)
    collector.answer = answer
    spans = [ReadableSpan("batch.handle")]
    assert [gate.export(spans) for _ in range(5)] == [SpanExportResult.FAILURE] * 5
    assert (collector.asked, lost() - before) == (1, 5)
    now += 6
    assert gate.export(spans) is SpanExportResult.FAILURE
    collector.answer = SpanExportResult.SUCCESS
    now += 6
    assert gate.export(spans) is SpanExportResult.SUCCESS
    said_here = capsys.readouterr().err
    assert (said_here.count("collector.away"), said_here.count("collector.back")) == (1, 1)
    assert "Aminata" not in said_here


def test_the_sdk_writes_no_log_of_its_own() -> None:
    Telemetry.start("intake", OrganisationId("ccem-fr")).stop()
    assert not logging.getLogger("opentelemetry.exporter.otlp.proto.http").isEnabledFor(logging.ERROR)
