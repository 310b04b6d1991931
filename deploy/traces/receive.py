"""Reads what exporters send: OTLP over HTTP, as protobuf, plain or gzip.

The messages are those of opentelemetry-proto 1 (``ExportTraceServiceRequest``). Everything is cut to a bounded size: a
sender that is broken must neither fill the store nor hold the receiver. What must never happen: a payload ends in an
error's text.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from deploy.traces.spans import Event, LinkTo, Span, SpanId, SpanKind, Speaker, TraceId, Value
from shared.contracts.coded import Coded

MOST_BYTES: Final = 16 * 1024 * 1024
"""How large a request may be, before and after it is unpacked."""

MOST_PER_SPAN: Final = 64
"""How many attributes, events and links are kept of one span."""

TRACE_BYTES: Final = 16
SPAN_BYTES: Final = 8
LONGEST_TEXT: Final = 200
LATEST: Final = 2**62
"""Later times do not fit SQLite's integers with room to add; such a span is refused."""

_KINDS: Final = {
    trace_pb2.Span.SPAN_KIND_SERVER: SpanKind.SERVER,
    trace_pb2.Span.SPAN_KIND_CLIENT: SpanKind.CLIENT,
    trace_pb2.Span.SPAN_KIND_PRODUCER: SpanKind.PRODUCER,
    trace_pb2.Span.SPAN_KIND_CONSUMER: SpanKind.CONSUMER,
}


class UnreadableError(Coded[str]):
    """The request cannot be read.

    ``code`` says why: ``too-large``, ``not-gzip``, ``not-otlp`` or ``unknown-encoding``.
    """


@dataclass(frozen=True, slots=True)
class Received:
    """The spans of one request, and how many of it were refused because their ids or times make no sense."""

    spans: list[Span]
    refused: int


def read(body: bytes, encoding: str = "") -> Received:
    """Read one request; ``encoding`` is its ``Content-Encoding``.

    Raises:
        UnreadableError: nothing of the request can be used.
    """
    try:
        request = ExportTraceServiceRequest.FromString(unpack(body, encoding))
    except DecodeError:
        raise UnreadableError("not-otlp") from None
    spans: list[Span] = []
    refused = 0
    for each in request.resource_spans:
        speaker = _speaker(each.resource.attributes)
        for sent in (span for scope in each.scope_spans for span in scope.spans):
            if _makes_sense(sent):
                spans.append(_span(sent, speaker))
            else:
                refused += 1
    return Received(spans, refused)


def unpack(body: bytes, encoding: str) -> bytes:
    """Undo ``Content-Encoding``, never past ``MOST_BYTES``.

    Raises:
        UnreadableError: it is too large, damaged, or encoded in a way that is not known.
    """
    if len(body) > MOST_BYTES:
        raise UnreadableError("too-large")
    match encoding.strip().lower():
        case "" | "identity":
            return body
        case "gzip":
            return _gunzip(body)
        case _:
            raise UnreadableError("unknown-encoding")


def _gunzip(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, MOST_BYTES)
    except zlib.error:
        raise UnreadableError("not-gzip") from None
    if unpacker.unconsumed_tail:
        raise UnreadableError("too-large")
    if not unpacker.eof:
        raise UnreadableError("not-gzip")
    return unpacked


def _makes_sense(sent: trace_pb2.Span) -> bool:
    ids = _is_id(sent.trace_id, TRACE_BYTES) and _is_id(sent.span_id, SPAN_BYTES)
    return ids and 0 < sent.start_time_unix_nano <= sent.end_time_unix_nano < LATEST


def _is_id(sent: bytes, size: int) -> bool:
    return len(sent) == size and any(sent)


def _span(sent: trace_pb2.Span, speaker: Speaker) -> Span:
    return Span(
        trace=TraceId(sent.trace_id.hex()),
        id=SpanId(sent.span_id.hex()),
        parent=SpanId(sent.parent_span_id.hex()) if any(sent.parent_span_id) else None,
        speaker=speaker,
        name=sent.name[:LONGEST_TEXT],
        kind=_KINDS.get(sent.kind, SpanKind.INTERNAL),
        started=sent.start_time_unix_nano,
        ended=sent.end_time_unix_nano,
        failed=sent.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        attributes=_attributes(sent.attributes),
        events=tuple(
            Event(each.name[:LONGEST_TEXT], min(each.time_unix_nano, LATEST), _attributes(each.attributes))
            for each in sent.events[:MOST_PER_SPAN]
        ),
        links=tuple(
            LinkTo(TraceId(each.trace_id.hex()), SpanId(each.span_id.hex()))
            for each in sent.links[:MOST_PER_SPAN]
            if _is_id(each.trace_id, TRACE_BYTES) and _is_id(each.span_id, SPAN_BYTES)
        ),
    )


def _speaker(attributes: Iterable[KeyValue]) -> Speaker:
    said = _attributes(list(attributes))
    organisation = said.get("organisation") or said.get("service.namespace") or ""
    return Speaker(str(organisation), str(said.get("service.name") or "unknown"))


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    said: dict[str, Value] = {}
    for pair in pairs:
        value = _value(pair.value)
        if value is not None and len(said) < MOST_PER_SPAN:
            said[pair.key[:LONGEST_TEXT]] = value
    return said


def _value(value: AnyValue) -> Value | None:
    """Return the plain value; lists, maps, bytes and what is no number are left out."""
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value[:LONGEST_TEXT]
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value" if isfinite(value.double_value):
            return value.double_value
        case _:
            return None
