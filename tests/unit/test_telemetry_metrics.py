"""Metrics count what the services do, with labels from closed lists, and break nothing."""

import re
from types import ModuleType

import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.telemetry import metrics
from shared.telemetry.allowed import ALLOWED
from shared.telemetry.metrics import Counter, Gauge, Histogram, Outcome
from tests.support.telemetry import CANARIES


def value(name: str, **labels: str) -> float:
    """Return what the process exports under that name and these labels; 0 when it exports nothing."""
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def exported() -> str:
    """Return all that the process exports."""
    return metrics.render().decode()


@pytest.fixture(scope="module")
def counter() -> Counter:
    """Return a metric of this module's own."""
    return Counter("relais_test_things_total", "Things.", "service", "code")


def test_things_are_counted_by_their_labels(counter: Counter) -> None:
    counter.add(service="intake", code="envelope-altered")
    counter.add(3, code="envelope-altered", service="intake")
    counter.add(service="intake", code=Outcome.PARKED)
    assert value("relais_test_things_total", service="intake", code="envelope-altered") == 4
    assert value("relais_test_things_total", service="intake", code="parked") == 1


@pytest.mark.parametrize("canary", CANARIES)
def test_a_text_is_no_label(counter: Counter, canary: str) -> None:
    others = value("relais_test_things_total", service="intake", code="other")
    dropped = value("relais_telemetry_dropped_total", signal="metrics")
    counter.add(service="intake", code=canary)
    assert value("relais_test_things_total", service="intake", code="other") == others + 1
    assert value("relais_telemetry_dropped_total", signal="metrics") == dropped + 1
    assert not canary or canary not in exported()


@pytest.mark.parametrize(
    "labels", [{}, {"service": ["intake"], "code": {}}, {"service": None, "code": "ok", "name": "x"}]
)
def test_wrong_labels_break_nothing_and_are_counted(counter: Counter, labels: dict[str, object]) -> None:
    dropped = value("relais_telemetry_dropped_total", signal="metrics")
    counter.add(**labels)
    assert value("relais_telemetry_dropped_total", signal="metrics") > dropped


def unlisted(module: ModuleType) -> set[str]:
    """Return the labels of a module's metrics that are not on the allow-list: whatever they say becomes ``other``."""
    kinds = (Counter, Gauge, Histogram)
    return {
        label for each in vars(module).values() if isinstance(each, kinds) for label in each.labels
    } - ALLOWED.keys()


def test_every_label_may_be_said() -> None:
    assert unlisted(metrics) == set(), "not in shared/telemetry/allowed.py"


def test_a_label_that_may_not_be_said_is_found(counter: Counter) -> None:
    module = ModuleType("metrics")
    vars(module).update(THINGS=counter, DAYS=Gauge("relais_test_days", "Days.", "service", "weekday"))
    assert unlisted(module) == {"weekday"}


def test_a_counter_never_shrinks(counter: Counter) -> None:
    counter.add(service="notify", code="sent")
    counter.add(-1, service="notify", code="sent")
    assert value("relais_test_things_total", service="notify", code="sent") == 1


def test_a_metric_with_too_many_series_puts_the_rest_under_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MOST_SERIES", 10)
    many = Counter("relais_test_many_total", "Many.", "code")
    for number in range(30):
        many.add(code=f"code-{number}")
    (family,) = (each for each in metrics.REGISTRY.collect() if each.name == "relais_test_many")
    assert len(family.samples) == 11
    assert value("relais_test_many_total", code="other") == 20


def test_gauges_and_histograms_say_what_they_saw() -> None:
    gauge = Gauge("relais_test_level", "Level.", "service")
    histogram = Histogram("relais_test_seconds", "Seconds.", "service")
    gauge.set(4, service="intake")
    gauge.set(2, service="intake")
    histogram.observe(0.004, service="intake")
    assert value("relais_test_level", service="intake") == 2
    assert value("relais_test_seconds_bucket", service="intake", le="0.005") == 1
    assert value("relais_test_seconds_bucket", service="intake", le="0.0025") == 0


def test_the_names_follow_the_conventions_of_prometheus() -> None:
    families = [each for each in metrics.REGISTRY.collect() if each.name.startswith("relais_")]
    assert len(families) >= 20
    for family in families:
        assert re.fullmatch(r"relais_[a-z]+(_[a-z]+)*", family.name)
        assert family.documentation.endswith(".")
        assert family.type != "histogram" or family.name.endswith(("_seconds", "_messages"))


def test_everything_is_rendered_in_the_text_format() -> None:
    metrics.HELD.set(1, service="intake")
    families = {family.name for family in text_string_to_metric_families(exported())}
    assert {"relais_held_messages", "process_resident_memory_bytes"} <= families
    assert metrics.CONTENT_TYPE.startswith("text/plain; version=0.0.4")
