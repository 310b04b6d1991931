"""``relais parked``: look after the messages that a service has set aside.

A person decides; so what was decided, by whom and why the message was there is written into the service's audit log, in
the same transaction. Who decides is said, and must be an operator of the organisation; which login said so is known,
and stands beside it. What must never happen: a body on the screen, or a message that goes without a trace.
"""

import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from cyclopts import App, Parameter

from deploy.cli.audit_log import Node
from deploy.cli.console import CliCode, CliError, answering, say
from deploy.cli.finding import HERE, Where
from deploy.cli.operator import Operator
from shared.audit import log as audit
from shared.clock import Clock
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.services import Service
from shared.messaging import held
from shared.storage.pool import Connection

app = App(name="parked", help="Look after messages that were set aside.")

_SHOWN: Final[Mapping[str, re.Pattern[str]]] = {
    "ce-source": re.compile(r"[a-z0-9]+(-[a-z0-9]+)*-[a-z]{2}"),
    "ce-id": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "traceparent": re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
}
"""The headers that may be shown, and what each must look like: others write them, and could write anything."""

ServiceOption = Annotated[Service, Parameter(name="--service")]
Yes = Annotated[bool, Parameter(negative="")]


@dataclass(frozen=True, slots=True)
class Which:
    """Which parked messages of a service are meant: one, or all that are parked for one reason."""

    service: Service
    message: UUID | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Lot:
    """The parking lot of one service of a node."""

    node: Node
    service: Service
    clock: Clock

    @classmethod
    def of(cls, where: Where, service: Service) -> "Lot":
        """Find it.

        Raises:
            CliError, AuditError: the node is not found, or not told of completely.
        """
        return cls(Node.from_environment(where.environment()), service, where.clock())

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """Connect for a while as the service's own role."""
        async with self.node.connected(self.service) as connection:
            yield connection

    async def find(self, which: Which) -> list[held.Parked]:
        """Return what is known of the messages that are meant, oldest first.

        Raises:
            CliError: ``not-parked``: there is none; ``message-or-reason``: neither is said, or both.
        """
        if (which.message is None) is (which.reason is None):
            raise CliError(CliCode.MESSAGE_OR_REASON, "say the id of one message, or a reason with --reason")
        async with self.connected() as connection:
            found = await held.parked(connection, which.message, reason=which.reason)
        if not found:
            raise _not_parked(self.service)
        return found

    async def settle(self, messages: Sequence[held.Parked], code: EntryCode, operator: Operator) -> int:
        """Replay or drop messages, all in one transaction, and write down who did; return how many there still were.

        Raises:
            CliError: ``not-parked``: somebody else was faster with all of them; nothing is written then.
        """
        at = self.clock.now()
        async with self.connected() as connection, connection.transaction():
            done = [each for each in messages if await _DEEDS[code](connection, each.id, at)]
            if not done:
                raise _not_parked(self.service)
            await audit.record(connection, *(_entry(code, each, operator, at) for each in done))
        return len(done)


def _entry(code: EntryCode, message: held.Parked, operator: Operator, at: datetime) -> Entry:
    detail = {
        "consumer": message.consumer,
        "login": operator.login,
        "reason": message.reason,
        "source": message.source,
    }
    return Entry(code, operator.name, message.id, at, detail)


async def _drop(connection: Connection, message: UUID, _: datetime) -> bool:
    return await held.drop(connection, message)


_DEEDS: Final[Mapping[EntryCode, Callable[[Connection, UUID, datetime], Awaitable[bool]]]] = {
    EntryCode.PARKED_REPLAYED: held.replay,
    EntryCode.PARKED_DROPPED: _drop,
}


@app.command(name="list")
async def list_(*, service: ServiceOption | None = None, where: Where = HERE) -> None:
    """List what is parked, oldest first: reasons, sizes and times.

    Args:
        service: intake, referral or notify; all three when it is left out.
        where: which node.
    """
    found: dict[Service, list[held.Parked]] = {}
    with answering(as_json=where.as_json):
        for each in (service,) if service else Service:
            async with Lot.of(where, each).connected() as connection:
                found[each] = await held.parked(connection)
    lines = [f"{name:9} {_line(message)}" for name, messages in found.items() for message in messages]
    say(
        {name.value: [_facts(message) for message in messages] for name, messages in found.items()},
        "\n".join(lines) or "nothing is parked",
        as_json=where.as_json,
    )


@app.command
async def show(message: UUID, *, service: ServiceOption, where: Where = HERE) -> None:
    """Show what is known of one message. What it says is not shown, here or anywhere else.

    Args:
        message: its id, from the list.
        service: intake, referral or notify.
        where: which node.
    """
    with answering(as_json=where.as_json):
        (found,) = await Lot.of(where, service).find(Which(service, message))
    known = _facts(found)
    say(known, "\n".join(f"{name:9} {value}" for name, value in known.items()), as_json=where.as_json)


@app.command
async def replay(
    message: UUID | None = None,
    *,
    service: ServiceOption,
    reason: str | None = None,
    operator: str | None = None,
    yes: Yes = False,
    where: Where = HERE,
) -> None:
    """Let a message be tried again, or all that are kept whole for one reason, by the same way as if they came now.

    Args:
        message: its id, from the list.
        service: intake, referral or notify.
        reason: instead of an id, why they are parked, such as decision-failed once our fault is mended.
        operator: who decides: an operator in staff.json. Your login name when it is left out.
        yes: do not ask.
        where: which node.
    """
    which = Which(service, message, reason)
    await _settle(EntryCode.PARKED_REPLAYED, which, where, operator, yes=yes)


@app.command
async def drop(
    message: UUID, *, service: ServiceOption, operator: str | None = None, yes: Yes = False, where: Where = HERE
) -> None:
    """Throw a message away for good.

    Args:
        message: its id, from the list.
        service: intake, referral or notify.
        operator: who decides: an operator in staff.json. Your login name when it is left out.
        yes: do not ask.
        where: which node.
    """
    await _settle(EntryCode.PARKED_DROPPED, Which(service, message), where, operator, yes=yes)


async def _settle(code: EntryCode, which: Which, where: Where, operator: str | None, *, yes: bool) -> None:
    with answering(as_json=where.as_json):
        lot = Lot.of(where, which.service)
        who = Operator.of(operator, lot.node.folder)
        found = await lot.find(which)
        if code is EntryCode.PARKED_REPLAYED and not (found := [each for each in found if each.digest is None]):
            raise CliError(CliCode.NOT_KEPT, "only its size and its digest are here: whoever sent it must send it anew")
        if not yes:
            deed = "Try again" if code is EntryCode.PARKED_REPLAYED else "Throw away for good"
            more = f"\nand {len(found) - 1} more that came later, for the same reason" if len(found) > 1 else ""
            _confirm(f"{_line(found[0])}{more}\n{deed}, as {who.name}?")
        count = await lot.settle(found, code, who)
    done = code.partition(".")[2]
    named = {"held": str(which.message)} if which.message else {"reason": which.reason, "count": count}
    said = {**named, "done": done, "operator": who.name, "login": who.login}
    say(said, f"{done}: {which.message or count}", as_json=where.as_json)


def _confirm(question: str) -> None:
    """Ask, where somebody can answer.

    Raises:
        CliError: ``confirmation-needed`` or ``not-confirmed``.
    """
    if not os.isatty(0):
        raise CliError(CliCode.CONFIRMATION_NEEDED, "nobody is here to be asked: look with `show`, then say --yes")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CliError(CliCode.NOT_CONFIRMED, "nothing was done")


def _not_parked(service: Service) -> CliError:
    return CliError(CliCode.NOT_PARKED, f"no such message is parked in {service}: `relais parked list` shows what is")


def _line(message: held.Parked) -> str:
    times = f" ({message.count} times, the last at {message.last_at:%Y-%m-%d %H:%M})" if message.count > 1 else ""
    return (
        f"{message.id}  {message.first_at:%Y-%m-%d %H:%M}  {message.size:>7} bytes  {message.source}  "
        f"{message.reason}{times}"
    )


def _facts(message: held.Parked) -> dict[str, str | int]:
    beside = {
        name.removeprefix("ce-"): message.headers[name]
        for name, form in _SHOWN.items()
        if form.fullmatch(message.headers.get(name, ""))
    }
    left = {"sha256": message.digest.hex(), "headers": " ".join(sorted(message.headers))} if message.digest else {}
    return {
        "held": str(message.id),
        "reason": message.reason,
        "queue": message.source,
        "origin": message.origin,
        "consumer": message.consumer,
        "attempts": message.attempts,
        "since": message.first_at.isoformat(timespec="seconds"),
        "last": message.last_at.isoformat(timespec="seconds"),
        "count": message.count,
        "size": message.size,
        **left,
        **beside,
    }
