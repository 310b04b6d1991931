"""The receiver reads OTLP as exporters send it, refuses what makes no sense, and is never held up by what it gets."""

import gzip
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from deploy.traces.receive import LONGEST_TEXT, MOST_BYTES, MOST_PER_SPAN, UnreadableError, read
from deploy.traces.spans import LinkTo, SpanKind, Speaker

TRACE, SPAN = bytes(range(16)), bytes(range(1, 9))


def text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))


def sent(**fields: object) -> trace_pb2.Span:
    """Return a span as OTLP has it, sound unless ``fields`` say otherwise."""
    sound = {
        "trace_id": TRACE,
        "span_id": SPAN,
        "name": "work.done",
        "start_time_unix_nano": 5,
        "end_time_unix_nano": 9,
    }
    return trace_pb2.Span(**{**sound, **fields})  # type: ignore[arg-type]  # some fields are wrong on purpose


def request(*spans: trace_pb2.Span, resource: tuple[KeyValue, ...] = ()) -> bytes:
    asked = ExportTraceServiceRequest()
    each = asked.resource_spans.add()
    each.resource.attributes.extend(resource)
    each.scope_spans.add().spans.extend(spans)
    return asked.SerializeToString()


def test_a_span_is_read_whole() -> None:
    link = trace_pb2.Span.Link(trace_id=TRACE, span_id=SPAN)
    event = trace_pb2.Span.Event(name="receipt.given", time_unix_nano=7, attributes=[text("code", "ok")])
    body = request(
        sent(
            parent_span_id=b"\1" * 8,
            kind=trace_pb2.Span.SPAN_KIND_CONSUMER,
            status=trace_pb2.Status(code=trace_pb2.Status.STATUS_CODE_ERROR),
            attributes=[
                text("code", "late"),
                KeyValue(key="count", value=AnyValue(int_value=3)),
                KeyValue(key="seconds", value=AnyValue(double_value=0.5)),
                KeyValue(key="ready", value=AnyValue(bool_value=True)),
            ],
            events=[event],
            links=[link],
        ),
        resource=(text("service.name", "intake"), text("organisation", "ccem-fr")),
    )
    (span,) = read(body).spans
    assert (span.trace, span.id, span.parent) == (TRACE.hex(), SPAN.hex(), "01" * 8)
    assert (span.speaker, span.kind, span.failed) == (Speaker("ccem-fr", "intake"), SpanKind.CONSUMER, True)
    assert (span.started, span.ended, span.duration) == (5, 9, 4)
    assert span.attributes == {"code": "late", "count": 3, "seconds": 0.5, "ready": True}
    assert [(each.name, each.at, each.attributes) for each in span.events] == [("receipt.given", 7, {"code": "ok"})]
    assert span.links == (LinkTo(span.trace, span.id),)


def test_gzip_is_undone() -> None:
    assert len(read(gzip.compress(request(sent())), "gzip").spans) == 1


@pytest.mark.parametrize(
    ("resource", "speaker"),
    [
        ((), Speaker("", "unknown")),
        ((text("service.name", "notify"), text("service.namespace", "abri-be")), Speaker("abri-be", "notify")),
    ],
)
def test_who_does_not_say_its_name_is_unknown(resource: tuple[KeyValue, ...], speaker: Speaker) -> None:
    assert read(request(sent(), resource=resource)).spans[0].speaker == speaker


@pytest.mark.parametrize(
    "wrong",
    [
        {"trace_id": b"\1" * 15},
        {"trace_id": bytes(16)},
        {"span_id": b""},
        {"span_id": bytes(8)},
        {"start_time_unix_nano": 0},
        {"start_time_unix_nano": 10},
        {"end_time_unix_nano": 2**63},
    ],
)
def test_a_span_that_makes_no_sense_is_refused_and_the_others_are_kept(wrong: dict[str, object]) -> None:
    received = read(request(sent(**wrong), sent()))
    assert (len(received.spans), received.refused) == (1, 1)


def test_what_is_too_much_is_cut() -> None:
    many = [text(f"key-{number}", "x" * 1000) for number in range(500)]
    events = [trace_pb2.Span.Event(name="e" * 1000) for _ in range(500)]
    links = [trace_pb2.Span.Link(trace_id=TRACE, span_id=SPAN) for _ in range(500)]
    (span,) = read(request(sent(name="n" * 1000, attributes=many, events=events, links=links))).spans
    assert len(span.name) == LONGEST_TEXT
    assert len(span.attributes) == len(span.events) == len(span.links) == MOST_PER_SPAN
    assert {len(str(value)) for value in span.attributes.values()} == {LONGEST_TEXT}


def test_lists_bytes_and_what_is_no_number_are_left_out() -> None:
    values = [
        AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="x")])),
        AnyValue(bytes_value=b"x"),
        AnyValue(double_value=float("nan")),
        AnyValue(),
    ]
    (span,) = read(request(sent(attributes=[KeyValue(key="k", value=value) for value in values]))).spans
    assert span.attributes == {}


@pytest.mark.parametrize(
    ("body", "encoding", "code"),
    [
        (b"\xff\xff", "", "not-otlp"),
        (b"plain", "gzip", "not-gzip"),
        (gzip.compress(b"x" * 100, mtime=0)[:-9], "gzip", "not-gzip"),
        (gzip.compress(bytes(MOST_BYTES + 1), mtime=0), "gzip", "too-large"),
        (bytes(MOST_BYTES + 1), "", "too-large"),
        (b"", "br", "unknown-encoding"),
    ],
)
def test_what_cannot_be_read_gets_a_code(body: bytes, encoding: str, code: str) -> None:
    with pytest.raises(UnreadableError) as refused:
        read(body, encoding)
    assert refused.value.code == code
    assert refused.value.__context__ is None or refused.value.__suppress_context__


@given(st.binary(max_size=300), st.sampled_from(["", "gzip", "deflate"]))
def test_nothing_that_is_sent_breaks_it(body: bytes, encoding: str) -> None:
    with suppress(UnreadableError):
        assert read(body, encoding).refused >= 0
