"""Makes ``docs/protocol/vectors/audit*``: ``python -m tests.support.audit_vectors`` writes them anew, always the same.

Everything follows from fixed secrets, so that a test compares the files with what this makes.
"""

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import UUID

from shared.audit.checkpoint import Checkpoint
from shared.audit.entry import encode_entry
from shared.audit.log import Leaf, prepare
from shared.audit.merkle import consistency_proof, inclusion_proof, leaf_hash, root
from shared.contracts.entries import Entry, EntryCode
from tests.support.audit import BEGIN, ORIGIN, SIGNER, STRANGER

VECTORS: Final = Path(__file__).parents[2] / "docs" / "protocol" / "vectors"
FILE, EXPORT = VECTORS / "audit.json", VECTORS / "audit-export.jsonl"

SIZES: Final = (1, 3, 7)
CLOSED: Final = frozenset({2, 5})
"""Positions that the export does not open."""

Vector: TypeAlias = dict[str, Any]


def text(raw: bytes) -> str:
    """Return base64 (RFC 4648, section 4)."""
    return base64.b64encode(raw).decode()


def entries() -> list[Entry]:
    """Return seven entries of every shape."""
    case, referral = UUID(int=0xCA5E), UUID(int=0x4EF)
    steps = [
        ("report.taken", "clock", None, {}),
        ("referral.offered", "advocate.one", case, {"recipient": "abri-be", "kind": "transfer"}),
        ("referral.received", "abri-be", None, {}),
        ("referral.opened", "abri-be", None, {}),
        ("referral.accepted", "abri-be", case, {"meeting": "confidential"}),
        ("referral.disclosed", "advocate.one", case, {"categories": "identity,safe_contact", "grant": "6f0"}),
        ("referral.arrived", "abri-be", case, {}),
    ]
    return [
        Entry(EntryCode(code), actor, referral, BEGIN + timedelta(hours=hour, microseconds=hour), detail, of_case)
        for hour, (code, actor, of_case, detail) in enumerate(steps)
    ]


def leaves() -> list[Leaf]:
    """Return the leaves of the entries; the salt of the nth is the byte n, 32 times."""
    return [prepare(entry, bytes([number] * 32)) for number, entry in enumerate(entries())]


def audit_vectors() -> Vector:
    """Return all that a reader computes from the seven entries."""
    hashes = [leaf_hash(leaf.commitment) for leaf in leaves()]
    return {
        "vkey": str(SIGNER.verifier),
        "leaves": [
            {
                "salt": text(leaf.opening[:32]),
                "entry": encode_entry(entry).decode(),
                "commitment": text(leaf.commitment),
                "leaf_hash": text(leaf_hash(leaf.commitment)),
            }
            for entry, leaf in zip(entries(), leaves(), strict=True)
        ],
        "roots": [text(root(hashes[:size])) for size in range(len(hashes) + 1)],
        "inclusion": [
            {"index": index, "size": size, "proof": [text(each) for each in inclusion_proof(hashes[:size], index)]}
            for size in range(1, len(hashes) + 1)
            for index in range(size)
        ],
        "consistency": [
            {"old": old, "new": new, "proof": [text(each) for each in consistency_proof(hashes[:new], old)]}
            for new in range(len(hashes) + 1)
            for old in range(new + 1)
        ],
        "checkpoints": [checkpoint(size) for size in SIZES],
        "refused": refused(),
    }


def checkpoint(size: int) -> str:
    """Return the log's checkpoint over its first leaves."""
    return Checkpoint(ORIGIN, size, root([leaf_hash(leaf.commitment) for leaf in leaves()[:size]])).sign(SIGNER)


def refused() -> list[Vector]:
    """Return notes that are no checkpoint of the log, with the code that each is refused with."""
    good = checkpoint(3)
    key = STRANGER.verifier
    return [
        {"name": "another-size", "code": "note-forged", "note": good.replace("\n3\n", "\n4\n")},
        {"name": "another-origin", "code": "note-forged", "note": good.replace("ccem", "abri", 1)},
        {
            "name": "another-key-of-the-name",
            "code": "note-unverified",
            "note": Checkpoint.parse(good.split("\n\n")[0] + "\n").sign(STRANGER),
            "signed_by": str(key),
        },
        {"name": "no-signature", "code": "note-malformed", "note": good.split("\n\n")[0] + "\n\n"},
        {"name": "last-newline-missing", "code": "note-malformed", "note": good[:-1]},
        {"name": "windows-newlines", "code": "note-malformed", "note": good.replace("\n", "\r\n")},
        {"name": "hyphen-for-dash", "code": "note-malformed", "note": good.replace("—", "-")},
    ]


def export_lines() -> list[Vector]:
    """Return an export that opens most of the entries, as ``docs/protocol/audit.md`` describes it."""
    lines: list[Vector] = [{"format": "relais-audit-export-v1", "origin": ORIGIN}]
    for position, leaf in enumerate(leaves()):
        line: Vector = {"position": position, "commitment": text(leaf.commitment)}
        if position not in CLOSED:
            line |= {"salt": text(leaf.opening[:32]), "entry": leaf.opening[32:].decode()}
        lines.append(line)
        if position + 1 in SIZES:
            lines.append({"checkpoint": checkpoint(position + 1)})
    return lines


def audit_file() -> str:
    """Return the text of ``audit.json``."""
    return json.dumps(audit_vectors(), indent=1, ensure_ascii=False) + "\n"


def export_file() -> str:
    """Return the text of ``audit-export.jsonl``."""
    return "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in export_lines())


if __name__ == "__main__":
    FILE.write_text(audit_file(), encoding="utf-8")
    EXPORT.write_text(export_file(), encoding="utf-8")
