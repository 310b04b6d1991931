"""Renders the one Grafana dashboard: ``python -m deploy.compose.dashboard`` writes it anew, and a test compares.

What the services export is in ``shared/telemetry/metrics.py``; every metric there has its place here, and nothing else
has. A panel answers one question of an operator, and its title is that question.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = Path(__file__).parent / "grafana" / "dashboards" / "relais.json"
CHOSEN: Final = 'organisation=~"$organisation", service=~"$service"'
ORGANISATION: Final = 'organisation=~"$organisation"'
WIDTH: Final = 24
HEIGHT: Final = 7

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Panel:
    """A question and the queries (PromQL) that answer it, each with its legend."""

    question: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    kind: str = "timeseries"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that belong together, side by side."""

    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, *by: str, of: str = CHOSEN) -> tuple[str, str]:
    """Return the growth of a counter per second, added up over ``by``."""
    return f"sum by ({', '.join(by)}) (rate({metric}{{{of}}}[$__rate_interval]))", legend(*by)


def level(metric: str, *by: str, of: str = CHOSEN) -> tuple[str, str]:
    """Return a gauge, added up over ``by``."""
    return f"sum by ({', '.join(by)}) ({metric}{{{of}}})", legend(*by)


def quantiles(metric: str, *by: str) -> tuple[tuple[str, str], ...]:
    """Return the median and the 99th percentile of a histogram over ``by``."""
    buckets = f"sum by (le, {', '.join(by)}) (rate({metric}_bucket{{{CHOSEN}}}[$__rate_interval]))"
    return tuple(
        (f"histogram_quantile({share}, {buckets})", f"{name} {legend(*by)}")
        for share, name in ((0.5, "p50"), (0.99, "p99"))
    )


def legend(*by: str) -> str:
    """Return the words of a series: the values of the labels that it is added up over."""
    return " ".join(f"{{{{{label}}}}}" for label in by)


ROWS: Final = (
    Row(
        "Is it well?",
        (
            Panel("Which services answer?", ((f'up{{job="relais", {ORGANISATION}}}', "{{instance}}"),), kind="stat"),
            Panel(
                "What do they reach?",
                (level("relais_dependency_available", "organisation", "service", "dependency"),),
                kind="stat",
            ),
            Panel(
                "What happens with receipts?",
                (rate("relais_receipts_total", "organisation", "outcome"),),
                unit="ops",
            ),
            Panel("Is anything missing?", (rate("relais_sequence_gaps_total", "organisation"),)),
            Panel(
                "How long do our keys last?",
                (
                    (
                        f"relais_key_ends_timestamp_seconds{{{CHOSEN}}} - time()",
                        legend("organisation", "service", "kind"),
                    ),
                ),
                unit="s",
                kind="stat",
            ),
            Panel(
                "What waits?",
                (
                    (level("relais_outbox_pending", "service")[0], "to be confirmed, {{service}}"),
                    (level("relais_outbox_unagreed", "service")[0], "for an agreement, {{service}}"),
                    (level("relais_held_messages", "service")[0], "for their time or another message, {{service}}"),
                    (level("relais_parked_messages", "service")[0], "for a person, {{service}}"),
                ),
            ),
            Panel("Can all that is kept be opened?", (rate("relais_unreadable_documents_total", "organisation"),)),
            Panel("How full is the quarantine?", (level("relais_quarantine_full_ratio", "organisation"),)),
            Panel("What fails again and again?", (rate("relais_rounds_failed_total", "service", "component"),)),
        ),
    ),
    Row(
        "Messages",
        (
            Panel("How many arrive?", (rate("relais_messages_received_total", "service", "queue"),), unit="ops"),
            Panel("What becomes of them?", (rate("relais_messages_handled_total", "outcome", "code"),), unit="ops"),
            Panel(
                "What does the broker answer?", (rate("relais_messages_published_total", "service", "outcome"),), "ops"
            ),
            Panel(
                "How long does the oldest wait for a broker?",
                (level("relais_outbox_oldest_seconds", "service", "dependency"),),
                unit="s",
            ),
        ),
    ),
    Row(
        "Speed",
        (
            Panel("How large are batches?", quantiles("relais_batch_messages", "service")),
            Panel("How long does a batch take?", quantiles("relais_batch_duration_seconds", "service"), unit="s"),
            Panel("How long do confirms take?", quantiles("relais_publish_confirm_seconds", "service"), unit="s"),
        ),
    ),
    Row(
        "Referrals",
        (
            Panel(
                "Which steps are taken?",
                (rate("relais_referral_transitions_total", "code", of=ORGANISATION),),
                unit="ops",
            ),
            Panel("What do reports look like?", (rate("relais_reports_total", "verdict"),), unit="ops"),
            Panel(
                "Who is told?", (rate("relais_notifications_total", "channel", "code", of=ORGANISATION),), unit="ops"
            ),
        ),
    ),
    Row(
        "Audit log",
        (
            Panel("How fast does it grow?", (rate("relais_audit_entries_total", "service"),), unit="ops"),
            Panel("How much is signed?", (level("relais_audit_size", "organisation", "service"),)),
            Panel("How much is not yet signed?", (level("relais_audit_pending", "organisation", "service"),)),
        ),
    ),
    Row(
        "HTTP",
        (
            Panel(
                "What is answered?", (rate("relais_http_requests_total", "service", "method", "status"),), unit="ops"
            ),
            Panel("How long does it take?", quantiles("relais_http_request_duration_seconds", "route"), unit="s"),
        ),
    ),
    Row(
        "Telemetry itself",
        (
            Panel(
                "What did the allow-list hold back?",
                (rate("relais_telemetry_dropped_total", "signal", of=ORGANISATION),),
            ),
            Panel(
                "Which spans arrive?", (rate("relais_telemetry_spans_total", "outcome", of=ORGANISATION),), unit="ops"
            ),
        ),
    ),
)


def panels() -> Iterator[Json]:
    """Yield the rows and panels, each where it stands on the page."""
    top = 0
    number = 1
    for row in ROWS:
        yield {"id": number, "type": "row", "title": row.title, "gridPos": place(0, top, WIDTH, 1), "panels": []}
        width = WIDTH // len(row.panels)
        for column, panel in enumerate(row.panels):
            number += 1
            yield drawn(panel, number, place(column * width, top + 1, width, HEIGHT))
        number += 1
        top += HEIGHT + 1


def place(left: int, top: int, width: int, height: int) -> Json:
    """Return a place on Grafana's grid of 24 columns."""
    return {"x": left, "y": top, "w": width, "h": height}


def drawn(panel: Panel, number: int, where: Json) -> Json:
    """Return one panel in Grafana's terms."""
    targets = [
        {"refId": chr(ord("A") + index), "expr": query, "legendFormat": words}
        for index, (query, words) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.question,
        "gridPos": where,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def chooser(label: str, metric: str) -> Json:
    """Return a variable that lets the reader choose values of a label."""
    return {
        "name": label,
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "query": f"label_values({metric}, {label})",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def dashboard() -> Json:
    """Return the whole dashboard."""
    return {
        "uid": "relais",
        "title": "Relais",
        "schemaVersion": 39,
        "editable": False,
        "timezone": "browser",
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                chooser("organisation", 'up{job="relais"}'),
                chooser("service", "relais_dependency_available"),
            ]
        },
        "panels": list(panels()),
    }


def render() -> str:
    """Return the dashboard as the text of its file."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(render(), encoding="utf-8")
    sys.exit(0)
