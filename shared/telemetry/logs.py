"""Logs: one line an event, made of a code and of what the allow-list admits; never a sentence.

Our own code says ``get_logger(__name__).warning("message.parked", held_id=…, code="envelope-altered")``. Libraries
write sentences, and theirs may hold a whole message body, so that what they log is reduced, from the record on, to the
logger's name, the level and the class of the exception, at WARNING and above. That holds for every handler, also for
one that a library adds to a logger of its own: the record never has the words.

What must never happen: a body, a name, a query or an exception's text in a line; a line that breaks the service.
Nothing here raises.
"""

import logging
import sys
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal, TextIO

import structlog
from opentelemetry import trace
from structlog.typing import EventDict, WrappedLogger

from shared.telemetry import metrics, scope
from shared.telemetry.allowed import admit_all, is_code, is_library

Form = Literal["json", "text", "auto"]
"""JSON lines, ``key=value`` for a terminal, or whichever fits where the lines go."""

Level = Literal["debug", "info", "warning", "error"]

UNNAMED: Final = "unnamed"
"""What stands in for an event or a logger that has no allowed name."""

REDUCED: Final = "library.spoke"
"""The event of a line that a library wrote."""

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_OURS: Final = ("shared", "services", "deploy")


class Sink:
    """Where lines go, from which level on and how they look."""

    def __init__(self, level: Level, form: Form, stream: TextIO | None) -> None:
        self.level = _LEVELS[level]
        self._form = form
        self._stream = stream
        self._json = structlog.processors.JSONRenderer()
        self._text = structlog.processors.LogfmtRenderer()

    def write(self, line: EventDict) -> None:
        """Write one line; a stream that is closed or full loses it."""
        stream = self._stream or sys.stderr
        try:
            text = self._form == "text" or (self._form == "auto" and stream.isatty())
            said = self._text(None, "", line) if text else self._json(None, "", line)
            stream.write(f"{said!s}\n")
            stream.flush()
        except (OSError, ValueError):
            metrics.dropped("logs")


class _State:
    """What ``configure`` changes, and how to undo it."""

    sink = Sink("info", "auto", None)
    undo = ExitStack()


class Logger(structlog.BoundLoggerBase):
    """Says what happened: a code, and what the allow-list admits. ``bind`` keeps keys for the lines to come."""

    def info(self, event: str, /, *words: object, **said: object) -> None:
        """Say what an operator may want to read later."""
        self._say("info", event, words, said)

    def warning(self, event: str, /, *words: object, **said: object) -> None:
        """Say what an operator should look at during the day."""
        self._say("warning", event, words, said)

    def error(self, event: str, /, *words: object, **said: object) -> None:
        """Say what an operator must look at now."""
        self._say("error", event, words, said)

    def exception(self, event: str, /, *words: object, **said: object) -> None:
        """As ``error``, with the class, the code and the place of the exception that is being handled."""
        self._say("error", event, words, {"exc_info": True, **said})

    def _say(self, level: Level, event: str, words: tuple[object, ...], said: dict[str, object]) -> None:
        if _LEVELS[level] < _State.sink.level:
            return
        if words:
            metrics.dropped("logs", len(words))
        _, line = self._process_event(level, event, said)
        _State.sink.write(dict(line))


def get_logger(name: str) -> Logger:
    """Return the logger of a module: ``get_logger(__name__)``. Safe before ``configure`` too.

    The event is a code in the past tense, such as ``message.parked``; keys and values are those of the allow-list. With
    ``exc_info=True`` (or ``log.exception``) the line tells the exception's class, its stable code and where it was
    raised.
    """
    return Logger(None, (_reduce,), {"logger": name})


def configure(level: Level = "info", form: Form = "auto", stream: TextIO | None = None) -> None:
    """Set up the logs of this process: once, before anything is started. ``stream`` is standard error unless given.

    Standard ``logging`` and structlog as libraries use them, ``warnings`` and exceptions that nobody caught end in the
    same lines, reduced.
    """
    restore()
    _swap(_State, "sink", Sink(level, form, stream))
    _swap(logging, "lastResort", None)
    _swap(logging.root, "handlers", [_Handler()])
    _swap(logging.root, "level", logging.WARNING)
    for each in list(logging.root.manager.loggerDict.values()):
        if isinstance(each, logging.Logger):
            _swap(each, "handlers", [])
            _swap(each, "propagate", True)
    _State.undo.callback(structlog.reset_defaults)
    structlog.configure(processors=(_reduce,), wrapper_class=Logger, logger_factory=_no_logger)
    _State.undo.callback(logging.setLogRecordFactory, logging.getLogRecordFactory())
    logging.setLogRecordFactory(_ReducedRecord)
    _State.undo.callback(logging.captureWarnings, False)
    logging.captureWarnings(True)
    _swap(sys, "excepthook", _uncaught)
    _swap(sys, "unraisablehook", _unraisable)
    _swap(threading, "excepthook", _thread_crashed)


def restore() -> None:
    """Undo ``configure``: the process logs as Python does by default. For tests that share a process."""
    _State.undo.close()


def _no_logger(*_: object) -> None:
    """Stand in for the logger that structlog wraps: ``Logger`` writes to the sink itself."""


def _swap(owner: object, name: str, value: object) -> None:
    _State.undo.callback(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


def _reduce(_: WrappedLogger, level: str, line: EventDict) -> EventDict:
    """Turn what was said into what may be said; the structlog processor that every line passes."""
    event = line.pop("event", None)
    name = line.pop("logger", None)
    failure = _failure(line.pop("exc_info", None))
    said, dropped = admit_all(line)
    reduced: EventDict = {"timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level}
    where = scope.current()
    if where is not None:
        reduced.update(service=where.service, organisation=where.organisation)
    if isinstance(name, str) and is_library(name):
        reduced["logger"] = name
    reduced["event"] = event if is_code(event) else UNNAMED
    reduced.update(said, **(describe(failure) if failure is not None else {}), **_traced())
    if dropped or reduced["event"] is UNNAMED:
        metrics.dropped("logs", max(dropped, 1))
    return reduced


def _traced() -> dict[str, str]:
    context = trace.get_current_span().get_span_context()
    if not (context.is_valid and context.trace_flags.sampled):
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}


def _failure(given: object) -> BaseException | None:
    """Find the exception that ``exc_info`` means, in any of the forms that logging knows."""
    if isinstance(given, BaseException):
        return given
    if isinstance(given, tuple):
        return next((each for each in given if isinstance(each, BaseException)), None)
    return sys.exc_info()[1] if given else None


def describe(failure: BaseException) -> dict[str, str]:
    """Return all that may be said of an exception: its class, its stable code and the line of the source.

    The line is the innermost one of our own code, or the innermost one there is.
    """
    found = {"error": type(failure).__name__}
    code = getattr(failure, "code", None)
    if isinstance(code, str) and is_code(code):
        found["code"] = str(code)
    place = _place(failure.__traceback__)
    return found if place is None else found | {"where": place}


def _place(traceback: TracebackType | None) -> str | None:
    place = ours = None
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        place = f"{module}:{traceback.tb_lineno}"
        if module.partition(".")[0] in _OURS:
            ours = place
        traceback = traceback.tb_next
    return ours or place


class _ReducedRecord(logging.LogRecord):
    """A library's record that never had words: sentence, arguments, exception and stack stay where they were.

    It is made in place of the usual record, so that no handler at all, not even one that a library adds later, can
    write what a body or a query said.
    """

    def __init__(  # noqa: PLR0913, PLR0917  # the signature of logging.LogRecord
        self,
        name: str,
        level: int,
        pathname: str,
        lineno: int,
        msg: object,  # noqa: ARG002
        args: object,
        exc_info: object,
        func: str | None = None,
        sinfo: str | None = None,  # noqa: ARG002
        **_: object,
    ) -> None:
        super().__init__(name, level, pathname, lineno, REDUCED, (), None, func, None)
        self.relais_failure = _failure(exc_info) or _failure(args)


class _Handler(logging.Handler):
    """Writes what is left of a library's record as one of our lines."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the logger's name, the level and the class of the exception."""
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        failure = getattr(record, "relais_failure", None)
        get_logger(record.name)._say(level, REDUCED, (), {"exc_info": failure})  # noqa: SLF001  # the same module

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  # as logging.Handler has it
        """Count a line that could not be written; the default would print the record."""
        metrics.dropped("logs")


_log: Final = get_logger(__name__)


def _uncaught(_: type[BaseException], error: BaseException, __: TracebackType | None) -> None:
    _log.error("process.crashed", exc_info=error)


def _unraisable(args: "sys.UnraisableHookArgs") -> None:
    _log.error("error.ignored", exc_info=args.exc_value)


def _thread_crashed(args: threading.ExceptHookArgs) -> None:
    _log.error("thread.crashed", exc_info=args.exc_value)
