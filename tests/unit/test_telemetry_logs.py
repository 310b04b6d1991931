"""A log line is a code and what the allow-list admits, whoever writes it: our code, a library, or a crash."""

import asyncio
import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import structlog

from shared.contracts.ids import OrganisationId
from shared.telemetry import logs, metrics, scope
from tests.support.telemetry import CANARIES, recorded

CANARY = "Aminata Diallo"


class AlteredError(Exception):
    """An error of ours, with its stable code."""

    code = "envelope-altered"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """Configure the logs of this process to write JSON, and undo it afterwards."""
    stream = io.StringIO()
    scope.leave()
    logs.configure("debug", "json", stream)
    yield stream
    logs.restore()


def fail(error: Exception) -> NoReturn:
    raise error


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def only(written: io.StringIO) -> dict[str, Any]:
    (line,) = lines(written)
    return line


def dropped() -> float:
    return metrics.REGISTRY.get_sample_value("relais_telemetry_dropped_total", {"signal": "logs"}) or 0.0


def test_a_line_says_what_happened_and_where(written: io.StringIO) -> None:
    logs.get_logger("shared.messaging.shell").warning("message.parked", code="envelope-altered", attempt=2)
    line = only(written)
    assert line.pop("timestamp").endswith("+00:00")
    assert line == {
        "level": "warning",
        "logger": "shared.messaging.shell",
        "event": "message.parked",
        "code": "envelope-altered",
        "attempt": 2,
    }


@pytest.mark.parametrize("canary", CANARIES)
def test_no_text_gets_through(written: io.StringIO, canary: str) -> None:
    before = dropped()
    log = logs.get_logger(canary)
    log.error("message.parked", name=canary, code=canary, reason={"who": canary})
    log.info(canary)
    log.info(*("report.taken", canary))
    log.bind(victim=canary, code=canary).info("report.taken")
    assert not canary or canary not in written.getvalue()
    assert len(lines(written)) == 4
    assert dropped() > before


def test_an_exception_is_its_class_its_code_and_its_place(written: io.StringIO) -> None:
    try:
        fail(AlteredError(CANARY))
    except AlteredError as error:
        logs.get_logger("shared.x").exception("batch.failed")
        logs.get_logger("shared.x").error("batch.failed", exc_info=error)
    for line in lines(written):
        assert (line["error"], line["code"]) == ("AlteredError", "envelope-altered")
        assert line["where"].startswith("tests.unit.test_telemetry_logs:")
    assert CANARY not in written.getvalue()


def test_the_place_is_the_innermost_line_of_our_own_code(written: io.StringIO) -> None:
    namespace: dict[str, Any] = {"__name__": "shared.made.up", "json": json}
    exec("def parse():\n    json.loads('{')", namespace)  # noqa: S102  # a module of ours that calls a library
    with pytest.raises(json.JSONDecodeError) as caught:
        namespace["parse"]()
    logs.get_logger("shared.x").error("batch.failed", exc_info=caught.value)
    assert only(written)["where"] == "shared.made.up:2"


@pytest.mark.parametrize(
    "name", ["faststream.access.rabbit", "aio_pika", "uvicorn.error", "asyncpg", "never.seen.before"]
)
def test_a_library_says_its_name_and_the_class_of_the_exception(written: io.StringIO, name: str) -> None:
    try:
        fail(ValueError(CANARY))
    except ValueError as error:
        logging.getLogger(name).warning("body: %s", CANARY, exc_info=True, stack_info=True)
        logging.getLogger(name).log(logging.ERROR, "failed: %s", error)
        logging.getLogger(name).info("received %s", CANARY)
    warned, failed = lines(written)
    assert (warned["logger"], warned["event"], warned["error"]) == (name, "library.spoke", "ValueError")
    assert (failed["level"], failed["error"]) == ("error", "ValueError")
    assert CANARY not in written.getvalue()


def test_a_handler_that_a_library_adds_later_has_no_words_either(written: io.StringIO) -> None:
    own = io.StringIO()
    logger = logging.getLogger("library.with.its.own.handler")
    logger.propagate = False
    handler = logging.StreamHandler(own)
    handler.setFormatter(logging.Formatter("%(message)s %(args)s"))
    logger.addHandler(handler)
    try:
        fail(ValueError(CANARY))
    except ValueError:
        logger.exception("validation failed: %s", CANARY)
    finally:
        logger.removeHandler(handler)
    assert own.getvalue() == "library.spoke ()\n"
    assert written.getvalue() == ""


def test_a_logger_of_somebody_who_uses_structlog_directly_is_reduced_too(written: io.StringIO) -> None:
    structlog.get_logger().info(f"hello {CANARY}", name=CANARY, code="ok")
    line = only(written)
    assert (line["event"], line["code"]) == ("unnamed", "ok")
    assert CANARY not in written.getvalue()


def test_what_nobody_caught_is_reduced(written: io.StringIO) -> None:
    error = AlteredError(CANARY)
    sys.excepthook(AlteredError, error, None)
    thread = threading.Thread(target=lambda: int(CANARY))
    thread.start()
    thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(CANARY, stacklevel=1)
    events = [(line["event"], line.get("error")) for line in lines(written)]
    assert events[:2] == [("process.crashed", "AlteredError"), ("thread.crashed", "ValueError")]
    assert CANARY not in written.getvalue()


async def test_a_task_that_nobody_awaited_is_reduced(written: io.StringIO) -> None:
    asyncio.get_running_loop().call_exception_handler({"message": CANARY, "exception": ValueError(CANARY)})
    assert (only(written)["logger"], only(written)["error"]) == ("asyncio", "ValueError")
    assert CANARY not in written.getvalue()


def test_a_line_knows_its_service_and_its_trace(written: io.StringIO) -> None:
    with recorded("referral") as here, here.telemetry.tracer.start_as_current_span("referral.accept") as span:
        logs.get_logger("services.referral").info("referral.accepted")
    line = only(written)
    assert (line["service"], line["organisation"]) == ("referral", "ccem-fr")
    assert line["trace_id"] == f"{span.get_span_context().trace_id:032x}"


def test_the_level_holds_for_our_own_lines() -> None:
    stream = io.StringIO()
    logs.configure("warning", "json", stream)
    logs.get_logger("shared.x").info("batch.done")
    logs.get_logger("shared.x").warning("batch.late")
    logs.restore()
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["batch.late"]


def test_a_terminal_gets_keys_and_values() -> None:
    stream = io.StringIO()
    scope.leave()
    logs.configure("info", "text", stream)
    logs.get_logger("shared.x").info("batch.done", count=3)
    logs.restore()
    assert stream.getvalue().endswith("level=info logger=shared.x event=batch.done count=3\n")


def test_a_stream_that_is_closed_breaks_nothing(written: io.StringIO) -> None:
    before = dropped()
    written.close()
    logs.get_logger("shared.x").info("batch.done")
    logging.getLogger("aio_pika").error("gone")
    assert dropped() == before + 2


def test_restore_gives_python_its_own_logging_back() -> None:
    hooks = (sys.excepthook, sys.unraisablehook, threading.excepthook)
    factory, handlers = logging.getLogRecordFactory(), list(logging.root.handlers)
    logs.configure("info", "json", io.StringIO())
    assert logging.getLogRecordFactory() is not factory
    logs.restore()
    assert (sys.excepthook, sys.unraisablehook, threading.excepthook) == hooks
    assert logging.getLogRecordFactory() is factory
    assert logging.root.handlers == handlers


async def test_scopes_of_tasks_do_not_mix() -> None:
    async def service(name: str, turn: asyncio.Barrier) -> str:
        scope.enter(scope.Scope(name, OrganisationId("ccem-fr")))
        await turn.wait()
        current = scope.current()
        return current.service if current else ""

    turn = asyncio.Barrier(2)
    assert list(await asyncio.gather(service("intake", turn), service("notify", turn))) == ["intake", "notify"]
