"""What the code says to logs, spans and metrics is on the allow-list, so that nothing is dropped unseen at run time.

The gate itself is tested in ``tests/unit/test_telemetry_*``; here the words at every place that speaks are compared
with it.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.telemetry import metrics
from shared.telemetry.allowed import ALLOWED, is_code
from tests.architecture.tree import REPOSITORY, Breach, sources, write

PRODUCT = ("services/", "shared/", "deploy/")
THE_GATE = "shared/telemetry/"
THE_LIST = f"{THE_GATE}allowed.py"
READS_SPANS = "deploy/traces/"
LEVELS = {"info", "warning", "error", "exception"}
LOGGERS = {"log", "_log", "LOG", "_LOG", "logger", "_logger"}
SPANS = {"span_from": 3, "begin_from": 3}
"""The functions that open a span, and where their attributes stand."""
COUNTED = {"add", "set", "observe"}


def calls(root: Path, *folders: str) -> Iterator[tuple[str, ast.Call, str, str]]:
    """Yield every call outside the gate: its file, the call, and the names of what is called and of its owner."""
    for path, tree in sources(root, *folders):
        if path.startswith(THE_GATE):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                owner, _, called = ast.unparse(node.func).rpartition(".")
                yield path, node, called, owner.rpartition(".")[2]


def unsaid_log_words(root: Path) -> list[Breach]:
    """Return every log call whose event is no literal code, or whose keys are not on the list."""
    found = []
    for path, call, called, owner in calls(root, *PRODUCT):
        if called not in LEVELS or owner not in LOGGERS:
            continue
        event = call.args[0] if call.args else None
        if len(call.args) != 1 or not isinstance(event, ast.Constant) or not is_code(event.value):
            found.append(Breach(path, call.lineno, "an event that is no literal code"))
        keys = {keyword.arg or "**" for keyword in call.keywords} - {"exc_info"}
        found += [Breach(path, call.lineno, f"says {key}") for key in sorted(keys - ALLOWED.keys())]
    return found


def idle_words(root: Path) -> list[Breach]:
    """Return every key of the list that no log line, no attribute and no label says: a list is no wider than needed."""
    said: set[object] = set()
    for path, tree in sources(root, *PRODUCT):
        if path == THE_LIST or path.startswith(READS_SPANS):
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(attr=called), keywords=keywords) if called in LEVELS:
                    said |= {keyword.arg for keyword in keywords}
                case ast.Dict(keys=keys):
                    said |= {key.value for key in keys if isinstance(key, ast.Constant)}
                case ast.Constant(value=value) if path.startswith(THE_GATE):
                    said.add(value)
    return [Breach(THE_LIST, 0, f"nothing says {key}") for key in ALLOWED if key not in said]


def unsaid_attributes(root: Path) -> list[Breach]:
    """Return every attribute that a span is opened with, or given later, and that is not on the list."""
    found = []
    for path, call, called, _ in calls(root, *PRODUCT):
        keys: list[ast.expr | None] = []
        if called in SPANS:
            given = [keyword.value for keyword in call.keywords if keyword.arg == "attributes"]
            given += call.args[SPANS[called] : SPANS[called] + 1]
            keys = [key for each in given if isinstance(each, ast.Dict) for key in each.keys]
        elif called == "set_attribute" and call.args:
            keys = [call.args[0]]
        found += [
            Breach(path, call.lineno, f"says {key.value!s}")
            for key in keys
            if isinstance(key, ast.Constant) and key.value not in ALLOWED
        ]
    return found


def unknown_labels(root: Path) -> list[Breach]:
    """Return every use of a metric with other labels than it has."""
    found = []
    for path, call, called, owner in calls(root, *PRODUCT):
        metric = getattr(metrics, owner, None) if called in COUNTED and owner.isupper() else None
        if metric is None:
            continue
        given = {keyword.arg for keyword in call.keywords}
        if given != set(metric.labels):
            found.append(Breach(path, call.lineno, f"{owner} has the labels {', '.join(metric.labels)}"))
    return found


def other_voices(root: Path) -> list[Breach]:
    """Return every module that logs, traces or counts past the gate."""
    return [
        Breach(path, line, f"imports {name}")
        for path, tree in sources(root, *PRODUCT)
        if not path.startswith(THE_GATE)
        for line, name in imported(tree)
        if name in ("logging", "structlog", "prometheus_client") or name.startswith("opentelemetry.sdk")
    ]


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield every module that is imported, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module


def loud_applications(root: Path) -> list[Breach]:
    """Return every FastAPI application that keeps its own telemetry, which sends paths and the texts of exceptions."""
    return [
        Breach(path, call.lineno, "FastAPI without telemetry=FASTAPI_OFF")
        for path, call, called, _ in calls(root, *PRODUCT)
        if called == "FastAPI"
        and not any(
            keyword.arg == "telemetry" and ast.unparse(keyword.value).endswith("FASTAPI_OFF")
            for keyword in call.keywords
        )
    ]


@pytest.mark.parametrize(
    "rule", [unsaid_log_words, idle_words, unsaid_attributes, unknown_labels, other_voices, loud_applications]
)
def test_the_tree_keeps_the_rule(rule: Callable[[Path], list[Breach]]) -> None:
    assert rule(REPOSITORY) == []


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('log.info("message.parked", name="x")', "says name"),
        ('_log.warning("message.parked", **more)', "says **"),
        ('log.info(f"message {x}")', "an event that is no literal code"),
        ('log.info("Message parked")', "an event that is no literal code"),
        ('log.info("message.parked %s", x)', "an event that is no literal code"),
    ],
)
def test_words_of_a_log_are_found(line: str, what: str, tmp_path: Path) -> None:
    write(tmp_path, "services/intake/hears.py", f'{line}\nlog.info("message.parked", code=x, exc_info=True)\n')
    assert [(breach.line, breach.what) for breach in unsaid_log_words(tmp_path)] == [(1, what)]


def test_idle_words_are_found(tmp_path: Path) -> None:
    write(tmp_path, THE_LIST, '"organisation"')
    write(tmp_path, "shared/telemetry/metrics.py", 'Gauge("relais_held", "Held.", "queue")')
    write(tmp_path, "services/intake/hears.py", 'log.info("a", code=x)\nids = {"message_id": x}\nask(state=x)')
    said = ALLOWED.keys() - {breach.what.removeprefix("nothing says ") for breach in idle_words(tmp_path)}
    assert said == {"queue", "code", "message_id"}


@pytest.mark.parametrize(
    "line",
    [
        'with span_from(None, "a", Kind.CLIENT, {"name": x}): pass',
        'with traces.span_from(None, "a", attributes={"name": x, "code": y}): pass',
        'here.set_attribute("name", x)',
    ],
)
def test_attributes_of_a_span_are_found(line: str, tmp_path: Path) -> None:
    write(tmp_path, "shared/messaging/shell.py", f'{line}\nwith span_from(None, "a", attributes={{"code": x}}): pass\n')
    assert [(breach.line, breach.what) for breach in unsaid_attributes(tmp_path)] == [(1, "says name")]


def test_labels_are_found(tmp_path: Path) -> None:
    lines = ("metrics.HELD.set(1)", "metrics.HELD.set(1, service=x)", "HELD.set(1, service=x, queue=y)")
    write(tmp_path, "deploy/a.py", "\n".join(lines))
    assert [breach.what for breach in unknown_labels(tmp_path)] == ["HELD has the labels service"] * 2


def test_other_voices_are_found(tmp_path: Path) -> None:
    lines = ("import logging", "from structlog import get_logger", "from opentelemetry import trace")
    write(tmp_path, "services/a.py", "\n".join(lines))
    assert [breach.what for breach in other_voices(tmp_path)] == ["imports logging", "imports structlog"]


def test_a_loud_application_is_found(tmp_path: Path) -> None:
    lines = ("FastAPI()", "FastAPI(telemetry=asgi.FASTAPI_OFF)", "FastAPI(telemetry={})")
    write(tmp_path, "services/a.py", "\n".join(lines))
    assert [breach.line for breach in loud_applications(tmp_path)] == [1, 3]
