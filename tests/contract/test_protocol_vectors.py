"""The published vectors say what this code does; a stranger who meets them meets us."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.audit.note import Verifier
from shared.contracts.ids import OrganisationId
from shared.sealing.agreement import open_agreement
from shared.sealing.codes import (
    DirectoryCode,
    DocumentCode,
    DocumentError,
    EnvelopeCode,
    EnvelopeError,
    KeyCode,
    KeyRefusedError,
    ReceiptCode,
    SealingError,
)
from shared.sealing.documents import identity_vkey, parse_identity
from shared.sealing.envelope import COMMITMENT_LABEL, SIGNATURE_LABEL, WRAP_LABEL, open_body, parse
from shared.sealing.fields import spell
from shared.sealing.header import Header
from shared.sealing.key_document import KeyDocument, open_key_document
from shared.sealing.keys import InboxKey, SigningKey, VerifyKey, enrol
from shared.sealing.receipts import verify_receipt
from shared.sealing.suites import KIND_OF, KeyKind, Suite
from shared.sealing.timestamp import CLOCK_SKEW, FARTHEST_AHEAD
from tests.support import stranger
from tests.support.vectors import VECTORS, key_vectors, receipt_vectors, spelled

SUITES = {suite: json.loads((VECTORS / f"envelope-suite-{suite}.json").read_text()) for suite in Suite}
KEYS = json.loads((VECTORS / "keys.json").read_text())
RECEIPTS = json.loads((VECTORS / "receipts.json").read_text())
ABRI = OrganisationId("abri-be")


def cases(part: str) -> list[Any]:
    return [
        pytest.param(suite, vector, id=f"suite {suite} {vector['name']}")
        for suite, vectors in SUITES.items()
        for vector in vectors[part]
    ]


def receive(suite: Suite, raw: bytes) -> bytes:
    """Do what ``docs/protocol/envelope.md`` asks of a reader, in its order."""
    vectors = SUITES[suite]
    reader = vectors["reader"]
    inbox = next(key for key in vectors["inbox_keys"] if key["id"] == reader["inbox_key"])
    envelope = parse(raw)
    envelope.header.check_recipient(OrganisationId(reader["organisation"]))
    envelope.verify(VerifyKey.enrol(bytes.fromhex(vectors["signing_key"]["public"])))
    check_time(envelope.header, datetime.fromisoformat(reader["at"]))
    return open_body(envelope, InboxKey.from_secret(KIND_OF[suite], bytes.fromhex(inbox["secret"])))


def check_time(header: Header, at: datetime) -> None:
    """Refuse what is too old at ``at``, or comes from the future."""
    if at >= header.expires:
        raise EnvelopeError(EnvelopeCode.EXPIRED)
    if header.time > at + FARTHEST_AHEAD:
        raise EnvelopeError(EnvelopeCode.MISDATED)
    if header.time > at + CLOCK_SKEW:
        raise EnvelopeError(EnvelopeCode.POSTDATED)


def bytes_of(suite: Suite, vector: dict[str, Any]) -> bytes:
    """Return the envelope of a vector, which is given whole or as a change to one that opens."""
    if "envelope" in vector:
        return base64.b64decode(vector["envelope"])
    whole = next(opens for opens in SUITES[suite]["opens"] if opens["name"] == vector["of"])
    raw = bytearray(base64.b64decode(whole["envelope"]))
    if "xor" in vector:
        raw[vector["at"]] ^= int(vector["xor"], 16)
    return bytes(raw[: vector.get("keep")]) + bytes(vector.get("zeros", 0))


@pytest.mark.parametrize(("suite", "vector"), cases("opens"))
def test_an_envelope_that_opens(suite: Suite, vector: dict[str, Any]) -> None:
    raw = base64.b64decode(vector["envelope"])
    assert len(raw) == vector["size"]
    assert receive(suite, raw).decode() == vector["body"]
    envelope = parse(raw)
    assert envelope.header.encode().decode() == vector["header"]
    for name in ("header_sha256", "commitment", "signature"):
        field = "header_hash" if name == "header_sha256" else name
        assert getattr(envelope, field).hex() == vector[name]


@pytest.mark.parametrize(("suite", "vector"), cases("opens"))
def test_every_value_on_the_way_follows_from_the_ones_before(suite: Suite, vector: dict[str, Any]) -> None:
    header, wraps = vector["header"].encode(), b"".join(map(bytes.fromhex, vector["wraps"]))
    content_key, body = bytes.fromhex(vector["content_key"]), vector["body"].encode()
    room = vector["size"] - 12 - len(header) - len(wraps) - 32 - 64 - 16
    parts = stranger.Parts(
        suite=suite,
        signing=bytes.fromhex(SUITES[suite]["signing_key"]["secret"]),
        header=header,
        wraps=wraps,
        count=len(vector["wraps"]),
        commitment=stranger.commitment(suite, content_key),
        content_key=content_key,
        padded=stranger.padded(body, room),
    )
    assert stranger.wrap_info(suite, header).hex() == vector["wrap_info"]
    assert parts.commitment.hex() == vector["commitment"]
    assert stranger.sha256(parts.ciphertext).hex() == vector["ciphertext_sha256"]
    assert parts.signed.hex() == vector["signed"]
    assert parts.signature.hex() == vector["signature"]
    assert parts.envelope == base64.b64decode(vector["envelope"])


@pytest.mark.parametrize(("suite", "vector"), cases("refused"))
def test_an_envelope_that_is_refused(suite: Suite, vector: dict[str, Any]) -> None:
    with pytest.raises(SealingError) as caught:
        receive(suite, bytes_of(suite, vector))
    assert caught.value.code == vector["code"]


@pytest.mark.parametrize("suite", list(Suite))
def test_every_code_of_an_envelope_has_a_vector_but_the_one_of_labels(suite: Suite) -> None:
    codes = {vector["code"] for vector in SUITES[suite]["refused"]}
    assert codes == set(EnvelopeCode) - {EnvelopeCode.MISLABELLED}


def test_the_files_that_follow_from_fixed_secrets_are_as_they_would_be_written_today() -> None:
    assert (VECTORS / "keys.json").read_text() == spelled(key_vectors())
    assert (VECTORS / "receipts.json").read_text() == spelled(receipt_vectors())


@pytest.mark.parametrize("vector", KEYS["keys"], ids=lambda vector: str(vector["kind"]))
def test_a_key_and_its_id(vector: dict[str, str]) -> None:
    kind, secret = KeyKind(vector["kind"]), bytes.fromhex(vector["secret"])
    key = SigningKey.from_secret(secret) if kind is KeyKind.ED25519 else InboxKey.from_secret(kind, secret)
    assert key.public.public.hex() == vector["public"]
    assert enrol(kind, bytes.fromhex(vector["public"])).id == vector["id"]


@pytest.mark.parametrize("vector", KEYS["refused"], ids=lambda vector: f"{vector['kind']} {vector['public'][:12]}")
def test_a_key_that_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(KeyRefusedError) as caught:
        enrol(KeyKind(vector["kind"]), bytes.fromhex(vector["public"]))
    assert caught.value.code is KeyCode(vector["code"])


def abri_document() -> KeyDocument:
    return open_key_document(KEYS["key_document"], ABRI, parse_identity(ABRI, KEYS["identities"][ABRI]))


@pytest.mark.parametrize("vector", KEYS["key_documents_refused"], ids=lambda vector: str(vector["name"]))
def test_a_key_document_that_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(DocumentError) as caught:
        open_key_document(vector["note"], ABRI, parse_identity(ABRI, KEYS["identities"][ABRI]))
    assert caught.value.code is DocumentCode(vector["code"])


def test_the_documents_open_under_the_identities() -> None:
    identities = {
        organisation: parse_identity(OrganisationId(organisation), text)
        for organisation, text in KEYS["identities"].items()
    }
    for organisation, secret in KEYS["identity_secrets"].items():
        public = SigningKey.from_secret(bytes.fromhex(secret)).public
        assert identity_vkey(OrganisationId(organisation), public) == KEYS["identities"][organisation]
    assert [key.purpose for key in abri_document().keys] == ["identity", "receipt", "signing", "inbox"]
    assert "referral.offered.v1" in abri_document().hears
    agreement, partner = open_agreement(KEYS["agreement"], ABRI, identities[ABRI])
    assert str(partner) == KEYS["identities"]["ccem-fr"]
    assert agreement.valid_from == datetime(2026, 11, 24, 10, 23, 45, tzinfo=UTC)


def test_a_receipt_that_verifies() -> None:
    receipt = verify_receipt(RECEIPTS["note"], abri_document())
    assert receipt.text() == RECEIPTS["text"]
    assert receipt.covers(receipt.message, bytes(4096))
    assert Verifier.parse(RECEIPTS["receipt_vkey"]).public.hex() == RECEIPTS["receipt_key"]["public"]


@pytest.mark.parametrize("vector", RECEIPTS["refused"], ids=lambda vector: str(vector["name"]))
def test_a_receipt_that_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(SealingError) as caught:
        verify_receipt(vector["note"], abri_document())
    assert caught.value.code is ReceiptCode(vector["code"])


def test_the_pages_show_what_the_vectors_say() -> None:
    envelope, keys, receipts = (
        (VECTORS.parent / f"{page}.md").read_text() for page in ("envelope", "keys", "receipts")
    )
    header = SUITES[Suite.X25519]["opens"][0]["header"]
    assert header in envelope.replace(",\n", ",")
    for label in (SIGNATURE_LABEL, WRAP_LABEL, COMMITMENT_LABEL):
        assert f"| `{label[:-1].decode()}` + 00 | `{label.hex()}` |" in envelope
    assert str(EnvelopeCode.MISLABELLED) in envelope
    for code in [*EnvelopeCode, *DirectoryCode]:
        assert f"`{code}`" in envelope + keys or code is DirectoryCode.OURSELVES_UNREADABLE
    for code in [*KeyCode, *DocumentCode]:
        assert f"`{code}`" in keys or code is DocumentCode.MISSING
    for code in ReceiptCode:
        assert f"`{code}`" in receipts
    assert "\n".join(f"    {line}" for line in RECEIPTS["text"].splitlines()) in receipts
    (shown,) = (line for line in keys.splitlines() if line.startswith('    {"organisation"'))
    document = KeyDocument.model_validate_json(shown)
    assert spell(document) == shown.strip()
    assert set(document.keys) <= set(abri_document().keys)
