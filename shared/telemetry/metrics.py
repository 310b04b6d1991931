"""The metrics that a process exports for Prometheus, each with a few labels from closed lists.

A label is a dimension that an operator adds up or compares, never a number of one message or one person: every value
passes the allow-list, and a metric that would grow past ``MOST_SERIES`` puts the rest under ``other``. Names follow
Prometheus's conventions: base units, ``_total`` for what only grows.

What must never happen: counting breaks what is counted. Nothing here raises.
"""

from enum import StrEnum
from typing import Final

import prometheus_client
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from shared.telemetry.allowed import METHODS, OTHER, admit

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
"""What ``render`` returns, for the ``Content-Type`` of the answer."""

MOST_SERIES: Final = 500

REGISTRY: Final = prometheus_client.CollectorRegistry()
"""All metrics of this process. Prometheus's default registry is left alone, and libraries cannot add to this one."""

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped
prometheus_client.ProcessCollector(registry=REGISTRY)

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Outcome(StrEnum):
    """What became of a message that was received."""

    DECIDED = "decided"
    DUPLICATE = "duplicate"
    PARKED = "parked"
    EARLY = "early"
    RETRIED = "retried"


class Sent(StrEnum):
    """What became of a message that was published."""

    CONFIRMED = "confirmed"
    UNROUTABLE = "unroutable"
    UNKNOWN = "unknown"
    """No confirm came in time: it is published again, under the same id."""


class Receipt(StrEnum):
    """What happened with a receipt."""

    GIVEN = "given"
    TAKEN = "taken"
    MISSING = "missing"


class _Labels:
    """The label values of one metric: admitted once, then remembered."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self._admitted: dict[tuple[object, ...], tuple[str, ...]] = {}
        self._series: set[tuple[str, ...]] = set()

    def of(self, given: dict[str, object]) -> tuple[str, ...]:
        """Return the values in the order of the names; what is missing or may not be said becomes ``other``."""
        key = tuple(map(given.get, self.names))
        try:
            known = self._admitted.get(key)
        except TypeError:  # a value that cannot be a label at all
            known = None
        return known if known is not None and len(given) == len(key) else self._admit(key, given)

    def _admit(self, key: tuple[object, ...], given: dict[str, object]) -> tuple[str, ...]:
        said = tuple(
            OTHER if value == OTHER else admit(name, value) for name, value in zip(self.names, key, strict=True)
        )
        refused = said.count(None) + len(given.keys() - set(self.names))
        values = tuple(OTHER if each is None else str(each) for each in said)
        if len(self._series) >= MOST_SERIES and values not in self._series:
            refused, values = refused + 1, (OTHER,) * len(values)
        self._series.add(values)
        if refused:
            dropped("metrics", refused)
        else:
            self._admitted[key] = values
        return values


class Counter:
    """Something that only grows: name it ``relais_…_total``."""

    def __init__(self, name: str, says: str, *labels: str) -> None:
        self.labels = labels
        self._values = _Labels(*labels)
        self._metric = prometheus_client.Counter(name, says, labels, registry=REGISTRY)

    def begin(self, **labels: object) -> None:
        """Say that nothing was counted yet: an alarm on growth does not hear the first of a series that begins at 1."""
        self.add(0, **labels)

    def add(self, amount: float = 1, /, **labels: object) -> None:
        """Count ``amount`` more; a negative amount counts nothing."""
        if amount < 0:
            return
        (self._metric.labels(*self._values.of(labels)) if self.labels else self._metric).inc(amount)


class Gauge:
    """Something that goes up and down."""

    def __init__(self, name: str, says: str, *labels: str) -> None:
        self.labels = labels
        self._values = _Labels(*labels)
        self._metric = prometheus_client.Gauge(name, says, labels, registry=REGISTRY)

    def set(self, value: float, /, **labels: object) -> None:
        """Say that it now is ``value``."""
        (self._metric.labels(*self._values.of(labels)) if self.labels else self._metric).set(value)


class Histogram:
    """How large or how long something is, in buckets."""

    def __init__(self, name: str, says: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> None:
        self.labels = labels
        self._values = _Labels(*labels)
        self._metric = prometheus_client.Histogram(name, says, labels, registry=REGISTRY, buckets=buckets)

    def observe(self, value: float, /, **labels: object) -> None:
        """Count one more of this size, or of this many seconds."""
        (self._metric.labels(*self._values.of(labels)) if self.labels else self._metric).observe(value)


TELEMETRY_DROPPED: Final = prometheus_client.Counter(
    "relais_telemetry_dropped_total",
    "Attributes, log keys, names and labels that the allow-list did not let through.",
    ("signal",),
    registry=REGISTRY,
)


def dropped(signal: str, count: int = 1) -> None:
    """Count what the allow-list did not let through: ``signal`` is ``traces``, ``logs`` or ``metrics``."""
    TELEMETRY_DROPPED.labels(signal).inc(count)


for _signal in ("traces", "logs", "metrics"):
    dropped(_signal, 0)


SPANS: Final = Counter(
    "relais_telemetry_spans_total", "Spans that the collector took (exported) or did not get (lost).", "outcome"
)

MESSAGES_RECEIVED: Final = Counter(
    "relais_messages_received_total",
    "Messages that a service took from a queue; of a letter of facts, each fact.",
    "service",
    "queue",
)
MESSAGES_HANDLED: Final = Counter(
    "relais_messages_handled_total",
    "What became of received messages; for what was kept back or put off, letters of ours too, the code of why.",
    "service",
    "outcome",
    "code",
)
BATCH_MESSAGES: Final = Histogram(
    "relais_batch_messages", "Messages in one transaction of the batch shell.", "service", buckets=_SIZES
)
BATCH_SECONDS: Final = Histogram(
    "relais_batch_duration_seconds", "From the first look at a batch until it was committed.", "service"
)
HELD: Final = Gauge(
    "relais_held_messages", "Messages that wait: for one that they depend on, or for a better time.", "service"
)
PARKED: Final = Gauge(
    "relais_parked_messages", "Messages that wait for a person, who replays or drops them.", "service"
)
QUARANTINE_FULL: Final = Gauge(
    "relais_quarantine_full_ratio",
    "How much of what may be kept whole of one partner the one with most has used: at 1 the rest is only counted.",
    "service",
)
OUTBOX_PENDING: Final = Gauge("relais_outbox_pending", "Letters that the broker has yet to confirm.", "service")
OUTBOX_UNAGREED: Final = Gauge(
    "relais_outbox_unagreed", "Letters that wait for an agreement with the partner, and so for no broker.", "service"
)
OUTBOX_OLDEST: Final = Gauge(
    "relais_outbox_oldest_seconds",
    "How long the oldest letter has waited for the confirm of this broker; 0 when none waits.",
    "service",
    "dependency",
)
PUBLISHED: Final = Counter(
    "relais_messages_published_total", "What the broker answered to published messages.", "service", "outcome"
)
CONFIRM_SECONDS: Final = Histogram(
    "relais_publish_confirm_seconds", "From publishing a batch until its last confirm.", "service"
)

AUDIT_ENTRIES: Final = Counter("relais_audit_entries_total", "Entries written to the audit log.", "service")
AUDIT_PENDING: Final = Gauge("relais_audit_pending", "Entries that no checkpoint covers yet.", "service")
AUDIT_SIZE: Final = Gauge("relais_audit_size", "Leaves that the last signed checkpoint covers.", "service")

ROUNDS_FAILED: Final = Counter(
    "relais_rounds_failed_total",
    "Rounds that failed and are tried again: of the sweeper, clocks, the sequencer and the like.",
    "service",
    "component",
)

RECEIPTS: Final = Counter("relais_receipts_total", "Receipts given, taken or missing.", "service", "outcome")
SEQUENCE_GAPS: Final = Counter(
    "relais_sequence_gaps_total",
    "Times that numbers were missing in what partners sent: something was withheld, lost or is very late.",
    "service",
)
REPORTS: Final = Counter("relais_reports_total", "Reports taken, by what the screening proposed.", "service", "verdict")
TRANSITIONS: Final = Counter("relais_referral_transitions_total", "Transitions of referrals, by their code.", "code")
NOTIFICATIONS: Final = Counter(
    "relais_notifications_total",
    "Notifications that went out, by channel and by what they are about.",
    "channel",
    "code",
)

UNREADABLE: Final = Counter(
    "relais_unreadable_documents_total",
    "Times that something kept could not be opened: altered, or in a form that this release does not read.",
    "service",
)

KEY_ENDS: Final = Gauge(
    "relais_key_ends_timestamp_seconds",
    "When the last of our own keys of this kind runs out, in seconds since 1970.",
    "service",
    "kind",
)

HTTP_REQUESTS: Final = Counter(
    "relais_http_requests_total", "HTTP requests answered.", "service", "method", "route", "status"
)
HTTP_SECONDS: Final = Histogram(
    "relais_http_request_duration_seconds", "Until the answer was complete, or a stream began.", "service", "route"
)


class Dependency(StrEnum):
    """What a service cannot work without, or not wholly."""

    DATABASE = "database"
    NODE = "node"
    EXCHANGE = "exchange"
    MAIL = "mail"


AVAILABLE: Final = Gauge(
    "relais_dependency_available",
    "1 when the database, a broker or the mail server answers, 0 when not.",
    "service",
    "dependency",
)


def method_label(method: str) -> str:
    """Return the HTTP method as a label; one that has no name here is ``other``."""
    return method if method in METHODS else OTHER


def render() -> bytes:
    """Return all metrics of this process in Prometheus's text format, version 0.0.4, in UTF-8."""
    return bytes(generate_latest(REGISTRY))
