"""An export written by hand, from its description alone, and everything that a stranger may do to it."""

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.audit.export import MOST_LINE_BYTES, verify_export
from shared.audit.inspection import Report
from shared.audit.merkle import leaf_hash, root
from shared.audit.note import NoteFault, NoteRefusedError
from tests.support.audit import ORIGIN, SIGNER, STRANGER, checkpoint_of, findings, make_leaf

VKEY = str(SIGNER.verifier)
LEAVES = [make_leaf(number) for number in range(5)]

Write = Callable[[list[str]], Path]


def encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def sound_lines(*, opened: bool = True) -> list[str]:
    """Return an export of five leaves with checkpoints over three and five."""
    lines: list[dict[str, object]] = [{"format": "relais-audit-export-v1", "origin": ORIGIN}]
    for position, leaf in enumerate(LEAVES):
        opening = {"salt": encode(leaf.opening[:32]), "entry": leaf.opening[32:].decode()} if opened else {}
        lines.append({"position": position, "commitment": encode(leaf.commitment), **opening})
        if position + 1 in {3, 5}:
            lines.append({"checkpoint": checkpoint_of(LEAVES[: position + 1]).note})
    return [json.dumps(line) for line in lines]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give a function that writes lines to a file."""

    def to_file(lines: list[str]) -> Path:
        path = tmp_path / "export.jsonl"
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return path

    return to_file


@pytest.mark.parametrize("opened", [True, False])
def test_an_export_verifies_with_the_public_key_alone(write: Write, *, opened: bool) -> None:
    report = verify_export(write(sound_lines(opened=opened)), VKEY)
    assert report.verified
    assert (report.entries, report.checkpoints, report.origin) == (5, 2, ORIGIN)
    assert (report.opened, report.closed) == ((5, 0) if opened else (0, 5))
    assert report.root == root([leaf_hash(leaf.commitment) for leaf in LEAVES])


def test_many_leaves_before_their_checkpoint_are_taken(write: Write) -> None:
    leaves = [make_leaf(number) for number in range(4_100)]
    lines = [json.dumps({"position": n, "commitment": encode(leaf.commitment)}) for n, leaf in enumerate(leaves)]
    lines = [sound_lines()[0], *lines, json.dumps({"checkpoint": checkpoint_of(leaves).note})]
    report = verify_export(write(lines), VKEY)
    assert report.verified
    assert (report.entries, report.checkpoints) == (4_100, 1)


def replaced(lines: list[str], at: int, **members: object) -> list[str]:
    line = json.dumps({**json.loads(lines[at]), **members})
    return [*lines[:at], line, *lines[at + 1 :]]


SOUND = sound_lines()


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (replaced(SOUND, 2, entry="{}"), [("entry-altered", 1)]),
        (replaced(SOUND, 2, entry="\ud800"), [("entry-altered", 1)]),
        (replaced(SOUND, 2, salt=encode(bytes(32))), [("entry-altered", 1)]),
        (replaced(SOUND, 2, commitment=encode(bytes(32))), [("entry-altered", 1), ("root-mismatch", 0)]),
        (
            [*SOUND[:2], *SOUND[3:]],
            [("position-gap", 1), ("checkpoint-misplaced", 2), ("checkpoint-misplaced", 4), ("log-unsigned", 0)],
        ),
        (
            [SOUND[0], SOUND[2], SOUND[1], *SOUND[3:]],
            [("position-gap", 0), ("position-gap", 2), ("position-gap", 1), ("root-mismatch", 0)],
        ),
        (SOUND[:-1], [("log-unsigned", 3)]),
        ([*SOUND[:4], *SOUND[5:]], []),
        (replaced(SOUND, 4, checkpoint=checkpoint_of(LEAVES[:3], STRANGER).note), [("checkpoint-forged", 3)]),
        (replaced(SOUND, 4, checkpoint=checkpoint_of(LEAVES[:2]).note), [("checkpoint-misplaced", 3)]),
    ],
)
def test_what_was_changed_is_found(write: Write, lines: list[str], found: list[tuple[str, int]]) -> None:
    assert findings(verify_export(write(lines), VKEY)) == found


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"position": 1}',
        '{"position": 1, "commitment": 5}',
        '{"position": "1", "commitment": null}',
        '{"position": true, "commitment": null}',
        '{"position": 1, "commitment": null, "salt": ""}',
        '{"position": 1, "commitment": "AAAA"}',
        '{"position": 1, "commitment": null, "more": 1}',
        f'{{"position": 1, "commitment": "{encode(bytes(32))}", "entry": "x"}}',
        f'{{"position": 1, "commitment": "{encode(bytes(32))[:-2]}B="}}',
        f'{{"position": 1, "position": 1, "commitment": "{encode(bytes(32))}"}}',
        '{"checkpoint": 1}',
        '{"checkpoint": "x", "more": 1}',
        "[" * 100_000,
        "9" * 5_000,
        '{"checkpoint": "' + "x" * MOST_LINE_BYTES + '"}',
    ],
    ids=lambda line: line[:24] or "empty",
)
def test_a_line_that_is_no_line_stops_the_reading_there(write: Write, line: str) -> None:
    report = verify_export(write([*SOUND[:2], line, *SOUND[2:]]), VKEY)
    assert findings(report) == [("export-malformed", 1), ("log-unsigned", 0)]
    assert report.entries == 1


@pytest.mark.parametrize("head", ["", '{"format": "relais-audit-export-v2"}', '{"format": 1}', "{}", "\x00"])
def test_another_format_is_not_read_at_all(write: Write, head: str) -> None:
    report = verify_export(write([head, *SOUND[1:]]), VKEY)
    assert findings(report) == [("export-malformed", 0)]
    assert report.entries == 0


def test_an_empty_file_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert findings(verify_export(tmp_path / "empty", VKEY)) == [("export-malformed", 0)]


@given(st.integers(0, len("\n".join(SOUND)) - 1), st.integers(0, 6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_changed_bit_changes_what_a_verified_export_says(tmp_path: Path, at: int, bit: int) -> None:
    raw = bytearray("\n".join(SOUND).encode())
    raw[at] ^= 1 << bit
    path = tmp_path / "export.jsonl"
    path.write_bytes(raw)
    report = verify_export(path, VKEY)
    if report.verified:
        assert summary(report) == summary(verify_export(write_sound(tmp_path), VKEY))


def write_sound(folder: Path) -> Path:
    path = folder / "sound.jsonl"
    path.write_text("\n".join(SOUND), encoding="utf-8")
    return path


def summary(report: Report) -> tuple[int, int, bytes]:
    return report.entries, report.opened, report.root


def test_a_kept_checkpoint_catches_a_history_written_anew(write: Write) -> None:
    kept = checkpoint_of([*LEAVES[:3], make_leaf(77)]).note
    report = verify_export(write(SOUND), VKEY, anchors=[kept])
    assert findings(report) == [("history-rewritten", 4)]


def test_a_former_key_is_known_only_when_it_is_named(write: Write) -> None:
    lines = replaced(SOUND, 4, checkpoint=checkpoint_of(LEAVES[:3], STRANGER).note)
    assert verify_export(write(lines), VKEY, former=[str(STRANGER.verifier)]).verified


def test_what_is_no_key_is_refused(write: Write) -> None:
    with pytest.raises(NoteRefusedError) as refused:
        verify_export(write(SOUND), "no key")
    assert refused.value.code is NoteFault.KEY_MALFORMED
