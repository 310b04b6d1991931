"""What watches the services asks for what they export: dashboard and alerts name metrics and labels that exist.

A dashboard that asks for a metric that was renamed, or that no code feeds, shows an empty panel, and an alert on it
never fires: nobody notices until the night when it should have.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from deploy.compose import dashboard
from shared.telemetry import metrics
from tests.architecture.tree import REPOSITORY, sources, write

COMPOSE = REPOSITORY / "deploy" / "compose"
METRICS = "shared/telemetry/metrics.py"
KINDS = {"Counter", "Gauge", "Histogram"}
FROM_PROMETHEUS = {"organisation", "job", "instance", "le"}
METRIC = re.compile(r"\brelais_[a-z_]+")
LABEL = re.compile(r'(\w+)\s*(?:=~|!=|!~|=)\s*"')
BY = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
GROWTH = re.compile(r"increase\((?P<series>[^\[]+)\[(?P<time>\w+)\]\)")
SPOKEN = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")


@cache
def exported_labels() -> dict[str, set[str]]:
    """Return the labels of every metric, by its name as it is exported, read from the definitions."""
    found = {}
    for _, tree in sources(REPOSITORY, "shared/", "services/"):
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            words = [
                word.value for word in ast.walk(call) if isinstance(word, ast.Constant) and isinstance(word.value, str)
            ]
            if kind(call.func) in KINDS and words and words[0].startswith("relais_"):
                found[words[0]] = set(words[2:])
    return found


def kind(function: ast.expr) -> str:
    """Return the last part of the name of what is called."""
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def registered_names() -> set[str]:
    """Return the names in the registry of this process, as they are exported."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name for family in metrics.REGISTRY.collect()
    }


def alerts() -> list[dict[str, object]]:
    """Return the alert rules."""
    return [rule for group in YAML(typ="safe").load(COMPOSE / "alerts.yaml")["groups"] for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """Yield every query with the words that are said about its result."""
    for row in dashboard.ROWS:
        for panel in row.panels:
            yield from panel.queries
    for rule in alerts():
        yield str(rule["expr"]), str(rule["annotations"])


def faults(query: str, words: str) -> set[str]:
    """Return the metrics and labels that a query or its words name and that are not exported."""
    known = exported_labels()
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in METRIC.findall(query)}
    labels = FROM_PROMETHEUS.union(*(known.get(name, set()) for name in names))
    asked = set(LABEL.findall(query)) | set(SPOKEN.findall(words))
    asked |= {label.strip() for labels in BY.findall(query) for label in labels.split(",")}
    return (names - set(known)) | (asked - labels)


def deaf(rules: list[dict[str, object]]) -> list[str]:
    """Return the rules on growth that miss what was counted before the first look, and do not wait for more either."""
    found = []
    for rule in rules:
        for growth in GROWTH.finditer(str(rule["expr"])):
            series, time = growth["series"], growth["time"]
            if "for" not in rule and f"or ({series} > 0 unless {series} offset {time})" not in str(rule["expr"]):
                found.append(str(rule["alert"]))
    return found


def unfed(root: Path) -> set[str]:
    """Return the metrics that no code counts, and the outcomes that no code ever says."""
    defined: set[str] = set()
    used: set[str] = set()
    for path, tree in sources(root, "shared/", "services/"):
        if path == METRICS:
            defined.update(fed_by_name(tree))
        used.update(attributes(tree))
    return defined - used


def fed_by_name(tree: ast.Module) -> Iterator[str]:
    """Yield the names of the metrics that are defined in ``tree``, and of the values that their labels may have."""
    for node in tree.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=function)) if kind(function) in KINDS:
                yield name
            case ast.ClassDef(bases=[ast.Name(id="StrEnum")], name=name, body=body):
                yield from (f"{name}.{ast.unparse(each.targets[0])}" for each in body if isinstance(each, ast.Assign))


def attributes(tree: ast.Module) -> Iterator[str]:
    """Yield whatever something is asked of, such as ``HELD`` for ``metrics.HELD.set``, and ``Sent.CONFIRMED``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = kind(node.value)
            yield owner
            yield f"{owner}.{node.attr}"


def test_what_is_defined_is_what_is_exported() -> None:
    for service in ("intake", "referral", "notify"):
        import_module(f"services.{service}.app")
    assert set(exported_labels()) - registered_names() == set()


def test_the_committed_dashboard_is_the_rendered_one() -> None:
    assert dashboard.FILE.read_text(encoding="utf-8") == dashboard.render()


def test_queries_ask_for_what_is_exported() -> None:
    assert {query: faults(query, words) for query, words in queries() if faults(query, words)} == {}


def test_everything_exported_is_shown() -> None:
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for query, _ in queries() for name in METRIC.findall(query)}
    assert set(exported_labels()) - shown == set()


def test_everything_exported_is_fed() -> None:
    assert unfed(REPOSITORY) == set()


def test_what_nobody_feeds_is_found(tmp_path: Path) -> None:
    write(
        tmp_path,
        METRICS,
        """
class Sent(StrEnum):
    CONFIRMED = "confirmed"
    LOST = "lost"

HELD: Final = Gauge("relais_held", "Held.")
PUBLISHED: Final = Counter("relais_published_total", "Published.", "outcome")
""",
    )
    write(tmp_path, "shared/post.py", "metrics.PUBLISHED.add(outcome=metrics.Sent.CONFIRMED)\n")
    assert unfed(tmp_path) == {"HELD", "Sent.LOST"}


def test_every_alert_says_what_to_do() -> None:
    assert [rule["alert"] for rule in alerts() if "what_to_do" not in str(rule["annotations"])] == []


def test_an_alarm_on_growth_hears_what_was_counted_before_the_first_look() -> None:
    assert deaf(alerts()) == []


def test_an_alarm_that_misses_the_first_is_found() -> None:
    growth = "increase(relais_sequence_gaps_total[5m]) > 0"
    whole = f"{growth} or (relais_sequence_gaps_total > 0 unless relais_sequence_gaps_total offset 5m)"
    shorter = whole.replace("offset 5m", "offset 1m")
    rules: list[dict[str, object]] = [{"alert": query, "expr": query} for query in (growth, whole, shorter)]
    assert deaf([*rules, {"alert": "waits", "expr": growth, "for": "10m"}]) == [growth, shorter]


@pytest.mark.parametrize(
    ("query", "words", "found"),
    [
        ("rate(relais_no_such_total[5m])", "", "relais_no_such_total"),
        ('relais_outbox_pending{service="intake", person="x"}', "", "person"),
        ("sum by (name) (relais_outbox_pending)", "", "name"),
        ("relais_outbox_pending", "{{ $labels.colour }}", "colour"),
    ],
)
def test_a_query_for_what_is_not_exported_is_found(query: str, words: str, found: str) -> None:
    assert faults(query, words) == {found}
