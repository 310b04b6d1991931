"""``relais audit``: verify a node's logs, export one, check an export, and keep checkpoints."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from deploy.cli.audit_log import (
    Node,
    export_log,
    facts,
    newest_checkpoints,
    sentences,
    summary,
    verify_node,
)
from deploy.cli.console import FAILED, CliCode, CliError, answering, say
from deploy.cli.finding import HERE, Where
from deploy.cli.operator import Operator
from shared.audit import log
from shared.audit.export import verify_export
from shared.contracts.entries import Entry, EntryCode
from shared.contracts.services import Service
from shared.uuids import random_uuid

app = App(name="audit", help="Say whether anybody changed what was written down.")

Checkpoints = Annotated[tuple[Path, ...], Parameter(name="--checkpoint", negative="")]


@app.command
async def verify(service: Service | None = None, *, checkpoints: Checkpoints = (), where: Where = HERE) -> int:
    """Verify a node's logs.

    Args:
        service: intake, referral or notify; all three when it is left out.
        checkpoints: a file with a checkpoint that was kept elsewhere; may be given several times.
        where: which node.
    """
    with answering(as_json=where.as_json):
        node = Node.from_environment(where.environment())
        reports = await verify_node(node, _services(service), checkpoints=_read(checkpoints))
    said = "\n".join(sentences(report) for report in reports.values())
    say(summary(reports), said, as_json=where.as_json)
    return 0 if all(report.verified for report in reports.values()) else FAILED


@app.command
async def export(
    service: Service,
    path: Path,
    *,
    opened: Annotated[bool, Parameter(negative="")] = False,
    operator: str | None = None,
    where: Where = HERE,
) -> None:
    """Write a log to a file that anybody can verify.

    Args:
        service: intake, referral or notify.
        path: the file; one that is there is replaced.
        opened: write what can be read of the entries, and not their commitments alone. That stands in the log.
        operator: who reads them: an operator in staff.json. Your login name when it is left out.
        where: which node.
    """
    with answering(as_json=where.as_json):
        node = Node.from_environment(where.environment())
        if opened:
            await _note_reading(node, service, Operator.of(operator, node.folder), where.clock().now())
        entries = await export_log(node, service, path, opened=opened)
        key = str(node.verifiers(service)[0])
    say(
        {"entries": entries, "path": str(path), "key": key},
        f"{path}: {entries} entries; to verify it: relais audit verify-export {path} --key {key}",
        as_json=where.as_json,
    )


@app.command(name="verify-export")
def check_export(
    path: Path,
    *,
    keys: Annotated[tuple[str, ...], Parameter(name="--key", negative="")],
    checkpoints: Checkpoints = (),
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Verify an export. It needs neither the node nor its database.

    Args:
        path: the file.
        keys: the log's verifier key, from somewhere else than the file; may be given again for each former one.
        checkpoints: a file with a checkpoint that was kept elsewhere; may be given several times.
        as_json: answer for a program.
    """
    with answering(as_json=as_json):
        report = verify_export(path, keys[0], former=keys[1:], anchors=_read(checkpoints))
    say(facts(report), sentences(report), as_json=as_json)
    return 0 if report.verified else FAILED


@app.command
async def checkpoint(service: Service | None = None, *, into: Path | None = None, where: Where = HERE) -> None:
    """Show the newest checkpoint of each log, to be kept where whoever keeps the node cannot reach it.

    Args:
        service: intake, referral or notify; all three when it is left out.
        into: a folder to write them to, one file a log.
        where: which node.
    """
    with answering(as_json=where.as_json):
        node = Node.from_environment(where.environment())
        notes = await newest_checkpoints(node, _services(service))
        for each, note in notes.items() if into else ():
            (into or Path()).joinpath(f"{node.organisation}-{each}.checkpoint").write_text(note, encoding="utf-8")
    text = "\n".join(notes.values()).rstrip("\n")
    say(
        {each.value: note for each, note in notes.items()},
        f"written to {into}: {', '.join(notes) or 'nothing: no log has a checkpoint yet'}" if into else text,
        as_json=where.as_json,
    )


async def _note_reading(node: Node, service: Service, who: Operator, at: datetime) -> None:
    """Write down that ``who`` reads the entries of a log. It is committed before a line of them is written."""
    entry = Entry(EntryCode.AUDIT_EXPORTED, who.name, random_uuid(), at, {"login": who.login})
    async with node.connected(service) as connection, connection.transaction():
        await log.record(connection, entry)


def _services(service: Service | None) -> Sequence[Service]:
    return tuple(Service) if service is None else (service,)


def _read(checkpoints: Sequence[Path]) -> list[str]:
    """Return the notes in the files.

    Raises:
        OSError: one cannot be read.
        CliError: ``file-unusable``: one is no text.
    """
    notes = []
    for path in checkpoints:
        try:
            notes.append(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise CliError(CliCode.FILE_UNUSABLE, f"{path}: it is no text in UTF-8") from None
    return notes
