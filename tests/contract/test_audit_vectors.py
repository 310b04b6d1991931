"""The published audit vectors are what the code makes, and are checked by a stranger who knows the page alone.

The stranger has SHA-256, Ed25519, JSON and base64, and nothing of ours.
"""

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.audit.checkpoint import open_checkpoint
from shared.audit.export import verify_export
from shared.audit.merkle import verify_consistency, verify_inclusion
from shared.audit.note import NoteRefusedError, Verifier
from tests.support.audit_vectors import CLOSED, EXPORT, FILE, SIZES, audit_file, export_file

VECTORS: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
LINES: list[dict[str, Any]] = [json.loads(line) for line in EXPORT.read_text(encoding="utf-8").splitlines()]


def raw(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def plain_root(leaves: list[bytes]) -> bytes:
    """Follow section 4 of the page."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while 2 * split < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + plain_root(leaves[:split]) + plain_root(leaves[split:])).digest()


def plain_checkpoint(note: str, vkey: str) -> tuple[str, int, bytes]:
    """Follow section 5 of the page, and section 4 of keys.md: return origin, size and root, or raise."""
    name, key_hash, encoded = vkey.split("+", 2)
    key = raw(encoded)
    assert hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() == key_hash
    text, _, lines = note.rpartition("\n\n")
    signatures = [raw(line.split(" ")[2]) for line in lines.splitlines() if line.startswith(f"— {name} ")]
    ours = [signature[4:] for signature in signatures if signature[:4].hex() == key_hash]
    if not ours:
        raise InvalidSignature
    for signature in ours:
        Ed25519PublicKey.from_public_bytes(key[1:]).verify(signature, f"{text}\n".encode())
    origin, size, root = text.split("\n")
    assert origin == name
    return origin, int(size), raw(root)


def test_the_files_are_what_the_code_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == audit_file()
    assert EXPORT.read_text(encoding="utf-8") == export_file()


def test_a_stranger_checks_the_export_from_the_page_alone() -> None:
    assert LINES[0]["format"] == "relais-audit-export-v1"
    commitments: list[bytes] = []
    sizes, opened = [], 0
    for line in LINES[1:]:
        if "checkpoint" in line:
            origin, size, root = plain_checkpoint(line["checkpoint"], VECTORS["vkey"])
            assert (origin, size, root) == (LINES[0]["origin"], len(commitments), plain_root(commitments))
            sizes.append(size)
            continue
        assert line["position"] == len(commitments)
        commitments.append(raw(line["commitment"]))
        if "entry" in line:
            opened += 1
            assert hashlib.sha256(raw(line["salt"]) + line["entry"].encode()).digest() == commitments[-1]
    assert (tuple(sizes), opened) == (SIZES, len(commitments) - len(CLOSED))


def test_our_code_finds_the_same() -> None:
    report = verify_export(EXPORT, VECTORS["vkey"], anchors=VECTORS["checkpoints"])
    assert report.verified
    assert (report.entries, report.closed, report.checkpoints) == (7, len(CLOSED), len(SIZES))
    assert report.root == raw(VECTORS["roots"][7])


def test_leaves_and_roots_are_those_of_the_page() -> None:
    commitments = []
    for leaf in VECTORS["leaves"]:
        entry = json.loads(leaf["entry"])
        assert list(entry) == sorted(entry)
        assert leaf["entry"] == json.dumps(entry, separators=(",", ":"))
        commitments.append(hashlib.sha256(raw(leaf["salt"]) + leaf["entry"].encode()).digest())
        assert raw(leaf["commitment"]) == commitments[-1]
        assert raw(leaf["leaf_hash"]) == plain_root(commitments[-1:])
    assert [raw(root) for root in VECTORS["roots"]] == [plain_root(commitments[:size]) for size in range(8)]


def test_every_proof_verifies() -> None:
    leaves, roots = [raw(leaf["leaf_hash"]) for leaf in VECTORS["leaves"]], list(map(raw, VECTORS["roots"]))
    for each in VECTORS["inclusion"]:
        index, size, proof = each["index"], each["size"], list(map(raw, each["proof"]))
        assert verify_inclusion(leaves[index], index, size, proof, roots[size])
    for each in VECTORS["consistency"]:
        old, new, proof = each["old"], each["new"], list(map(raw, each["proof"]))
        assert verify_consistency(old, new, proof, roots[old], roots[new])


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: str(vector["name"]))
def test_what_is_no_checkpoint_of_the_log_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(NoteRefusedError) as refused:
        open_checkpoint(vector["note"], [Verifier.parse(VECTORS["vkey"])])
    assert refused.value.code == vector["code"]


def test_the_page_shows_a_checkpoint_that_is_in_the_vectors() -> None:
    page = (FILE.parents[1] / "audit.md").read_text(encoding="utf-8")
    shown = page.split("    ccem-fr/audit/referral\n", 1)[1].split("\n", 2)[:2]
    size, root = (line.strip() for line in shown)
    assert root == VECTORS["roots"][int(size)]
