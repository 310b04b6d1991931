"""A log in one file, which anybody can check who has the log's public key and no access to anything else.

The file is JSON lines (https://jsonlines.org), in UTF-8:

- the first line is ``{"format": "relais-audit-export-v1", "origin": …}``;
- each leaf is a line, in the order of positions: ``{"position": 0, "commitment": …}``, and with ``"salt"`` and
  ``"entry"`` where the entry is opened: the entry's very bytes, as a string, so that SHA-256 over salt and entry is the
  commitment. Commitments and salts are 32 bytes in base64;
- each checkpoint is a line, right after the last leaf that it covers: ``{"checkpoint": …}`` with the signed note.

What must never happen: that an export needs this code, this database or a secret to be checked.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import IO, BinaryIO, Final, NamedTuple

from shared.audit.inspection import Filed, Finding, Inspection, Leaves, Report, open_anchors
from shared.audit.log import SALT_BYTES, Commitment, EntryCipher
from shared.audit.merkle import HASH_BYTES
from shared.audit.note import KeyName, Verifier
from shared.audit.reading import read_leaves, snapshot
from shared.storage.pool import Connection

FORMAT: Final = "relais-audit-export-v1"

MOST_LINE_BYTES: Final = 1 << 20
"""A longer line is refused: a checkpoint with 64 signatures is shorter."""

_CHUNK: Final = 2_000


async def export(
    connection: Connection,
    origin: KeyName,
    out: IO[bytes],
    *,
    opened: bool,
    cipher: EntryCipher | None = None,
) -> int:
    """Write the log of the service whose schema ``connection`` is on to ``out``, and return how many leaves it has.

    Args:
        connection: outside a transaction; it only reads.
        origin: the log's name, for the reader.
        out: a binary file.
        opened: with the entries that can be read; without, the export shows that nothing was changed, and not what.
        cipher: opens entries of cases; without it, and where a case is erased, an entry is a commitment.
    """
    out.write(_dump({"format": FORMAT, "origin": origin}))
    size = 0
    async with snapshot(connection), aclosing(read_leaves(connection, cipher)) as chunks:
        async for leaves, checkpoints in chunks:
            size += len(leaves.positions)
            out.writelines(_lines(leaves, {filed.size: filed.note for filed in checkpoints}, opened=opened))
    return size


def verify_export(path: Path, vkey: str, *, former: Sequence[str] = (), anchors: Iterable[str | bytes] = ()) -> Report:
    """Read an export and return what is right and wrong with it. Needs no database and no secret.

    Args:
        path: the file.
        vkey: the log's verifier key, from somewhere else than the file.
        former: earlier verifier keys of the log.
        anchors: checkpoints of this log that were kept elsewhere: they alone show that somebody who has the log's key
            wrote it anew.

    Raises:
        NoteRefusedError, CheckpointRefusedError: ``vkey`` is no verifier key, or an anchor no checkpoint of this log.
        OSError: the file cannot be read.
    """
    verifier, *others = map(Verifier.parse, (vkey, *former))
    inspection = Inspection(verifier, former=others, anchors=open_anchors(anchors, (verifier, *others)))
    leaves: list[_Line] = []
    with path.open("rb") as file:
        try:
            for line in _read(file):
                if isinstance(line, str):
                    inspection.take(_columns(leaves), [Filed(inspection.size + len(leaves), line)])
                    leaves.clear()
                else:
                    leaves.append(line)
                if len(leaves) == _CHUNK:
                    inspection.take(_columns(leaves), ())
                    leaves.clear()
        except _MalformedError:
            inspection.note(Finding.EXPORT_MALFORMED, inspection.size + len(leaves))
    inspection.take(_columns(leaves), ())
    return inspection.finish()


class _Line(NamedTuple):
    """A line that is a leaf."""

    position: int
    commitment: Commitment | None
    opening: bytes | None


class _MalformedError(Exception):
    """A line is not what the format allows at its place."""


def _lines(leaves: Leaves, notes: Mapping[int, str], *, opened: bool) -> Iterator[bytes]:
    for position, commitment, opening in zip(*leaves, strict=True):
        members = {"position": position, "commitment": None if commitment is None else _encode(commitment)}
        if opened and type(opening) is bytes:
            members["salt"] = _encode(opening[:SALT_BYTES])
            members["entry"] = opening[SALT_BYTES:].decode(errors="replace")
        yield _dump(members)
        if position + 1 in notes:
            yield _dump({"checkpoint": notes[position + 1]})


def _dump(members: Mapping[str, object]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode() + b"\n"


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _read(file: BinaryIO) -> Iterator[_Line | str]:
    """Yield the leaves of an export, and its checkpoints as notes, in the order of the lines."""
    if _members(file.readline(MOST_LINE_BYTES)).get("format") != FORMAT:
        raise _MalformedError
    while line := file.readline(MOST_LINE_BYTES):
        match _members(line):
            case {"checkpoint": str(note), **others} if not others:
                yield note
            case {"position": int(position), "commitment": None, **others} if not others:
                yield _Line(position, None, None)
            case {"position": int(position), "commitment": str(commitment), **others} if not others:
                yield _Line(position, _commitment(commitment), None)
            case {
                "position": int(position),
                "commitment": str(commitment),
                "salt": str(salt),
                "entry": str(entry),
                **others,
            } if not others:
                yield _Line(position, _commitment(commitment), _decode(salt) + entry.encode(errors="replace"))
            case _:
                raise _MalformedError


def _members(line: bytes) -> dict[str, object]:
    try:
        members = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise _MalformedError from None
    if not isinstance(members, dict) or any(isinstance(value, bool) for value in members.values()):
        raise _MalformedError
    return members


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Refuse an object that says a thing twice: two readers could take it in two ways."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _MalformedError
    return members


def _commitment(text: str) -> Commitment:
    return Commitment(_decode(text))


def _decode(text: str) -> bytes:
    """Return the 32 bytes of a commitment or a salt."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _MalformedError from None
    if len(raw) != HASH_BYTES or _encode(raw) != text:
        raise _MalformedError
    return raw


def _columns(lines: Sequence[_Line]) -> Leaves:
    return Leaves(
        [line.position for line in lines],
        [line.commitment for line in lines],
        [line.opening for line in lines],
    )
