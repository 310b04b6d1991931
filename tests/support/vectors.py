"""Makes the test vectors in ``docs/protocol/vectors/``: ``python -m tests.support.vectors`` writes them anew.

Everything in them follows from fixed secrets but the wraps, which HPKE makes at random: so the files of the envelope
change whenever they are written, and a test checks them instead of comparing them.
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

from shared.audit.merkle import leaf_hash
from shared.audit.note import KeyName, Signer, sign, vkey
from shared.contracts.codes import RecipientKind, ReferralKind
from shared.contracts.ids import MessageId, OrganisationId
from shared.sealing.documents import identity_vkey, note_signer
from shared.sealing.enrol import Identity, Terms, agree
from shared.sealing.key_document import KeyDocument, publish, sign_key_document
from shared.sealing.keys import InboxKey, KeyPurpose, SigningKey, key_id
from shared.sealing.receipts import Receipt, make_receipt
from shared.sealing.suites import KeyKind
from tests.support.plain_hpke import inbox_public, wrap
from tests.support.stranger import Pair, Parts, commitment, padded, sha256, signing_public, wrap_info

VECTORS = Path(__file__).parents[2] / "docs" / "protocol" / "vectors"

AT = datetime(2026, 11, 24, 10, 23, 45, tzinfo=UTC)
CCEM, ABRI = OrganisationId("ccem-fr"), OrganisationId("abri-be")
SIGNING, INBOX, OTHER_INBOX = (bytes(range(start, start + 32)) for start in (0, 32, 64))
CCEM_IDENTITY, ABRI_IDENTITY, RECEIPT = (bytes(range(start, start + 32)) for start in (96, 128, 160))
CONTENT_KEY = bytes(range(192, 224))
BODY = '{"type":"referral.offered.v1","data":{"name":"Zoë — ليلى"}}'

Vector: TypeAlias = dict[str, Any]


def text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def envelope_vectors(suite: int) -> Vector:
    """Return what opens and what is refused in one suite."""
    pair, both = Pair(suite, SIGNING, (INBOX,)), Pair(suite, SIGNING, (OTHER_INBOX, INBOX))
    honest = pair.parts(BODY.encode(), CONTENT_KEY)
    full = b"x" * (len(honest.padded) - 4)
    opens = {
        "one-recipient-key": honest,
        "two-recipient-keys": both.parts(BODY.encode(), CONTENT_KEY, size=4096 if suite == 2 else 16384),
        "fills-4096": pair.parts(full, CONTENT_KEY),
        "one-byte-more-needs-16384": pair.parts(full + b"x", CONTENT_KEY, size=16384),
        "empty-body": pair.parts(b"", CONTENT_KEY),
    }
    return {
        "suite": suite,
        "signing_key": {
            "secret": SIGNING.hex(),
            "public": signing_public(SIGNING).hex(),
            "id": key_id(signing_public(SIGNING)),
        },
        "inbox_keys": [
            {
                "secret": secret.hex(),
                "public": inbox_public(suite, secret).hex(),
                "id": key_id(inbox_public(suite, secret)),
            }
            for secret in (INBOX, OTHER_INBOX)
        ],
        "reader": {"organisation": ABRI, "at": "2026-11-24T10:23:45Z", "inbox_key": key_id(inbox_public(suite, INBOX))},
        "opens": [_opens(name, parts) for name, parts in opens.items()],
        "refused": _altered() + _wrongly_made(pair, honest),
    }


def _opens(name: str, parts: Parts) -> Vector:
    length = int.from_bytes(parts.padded[:4], "big")
    each = len(parts.wraps) // parts.count
    return {
        "name": name,
        "header": parts.header.decode(),
        "header_sha256": sha256(parts.header).hex(),
        "content_key": parts.content_key.hex(),
        "wrap_info": wrap_info(parts.suite, parts.header).hex(),
        "wraps": [parts.wraps[at : at + each].hex() for at in range(0, len(parts.wraps), each)],
        "commitment": parts.commitment.hex(),
        "ciphertext_sha256": sha256(parts.ciphertext).hex(),
        "signed": parts.signed.hex(),
        "signature": parts.signature.hex(),
        "body": parts.padded[4 : 4 + length].decode(),
        "size": len(parts.envelope),
        "envelope": text(parts.envelope),
    }


def _altered() -> list[Vector]:
    """What becomes of ``one-recipient-key`` when a carrier touches it."""

    def altered(name: str, code: str, **change: object) -> Vector:
        return {"name": name, "code": code, "of": "one-recipient-key", **change}

    return [
        altered("magic", "envelope-malformed", at=0, xor="01"),
        altered("version-2", "envelope-unknown-version", at=6, xor="03"),
        altered("suite-0", "envelope-unknown-suite", at=7, xor="ff"),
        altered("header-length", "envelope-malformed", at=9, xor="01"),
        altered("wrap-count", "envelope-malformed", at=11, xor="03"),
        altered("header-brace", "envelope-malformed", at=12, xor="01"),
        altered("header-id", "envelope-altered", at=40, xor="01"),
        altered("first-wrap", "envelope-altered", at=331, xor="01"),
        altered("last-byte", "envelope-altered", at=4095, xor="80"),
        altered("cut-by-one", "envelope-truncated", keep=4095),
        altered("nothing-left", "envelope-truncated", keep=0),
        altered("one-byte-more", "envelope-truncated", zeros=1),
        altered("grown-to-16384", "envelope-altered", zeros=12288),
        altered("longer-than-262144", "envelope-oversized", zeros=258049),
    ]


def _wrongly_made(pair: Pair, honest: Parts) -> list[Vector]:
    """What a sender may sign, and a reader refuses all the same."""
    header, body = honest.header.decode(), BODY.encode()

    def relabelled(what: str, instead: str) -> Parts:
        assert what in header
        return pair.parts(body, CONTENT_KEY, header.replace(what, instead, 1).encode())

    elsewhere = wrap(
        pair.suite, inbox_public(pair.suite, OTHER_INBOX), wrap_info(pair.suite, honest.header), CONTENT_KEY
    )
    room = len(honest.padded)
    wrong = [
        ("space-in-header", "envelope-malformed", relabelled('","id"', '", "id"')),
        ("duplicate-member", "envelope-malformed", relabelled('"id"', '"specversion":"1.0","id"')),
        ("unknown-member", "envelope-malformed", relabelled('"id"', '"subject":"x","id"')),
        ("missing-member", "envelope-malformed", relabelled('"specversion":"1.0",', "")),
        ("members-in-another-order", "envelope-malformed", relabelled(*_swapped(header))),
        ("id-in-capitals", "envelope-malformed", relabelled("0b5f9c6e", "0B5F9C6E")),
        ("id-not-random", "envelope-malformed", relabelled("-4d7c-", "-1d7c-")),
        ("time-not-rounded", "envelope-malformed", relabelled("T10:20:00Z", "T10:23:00Z")),
        ("expires-with-time", "envelope-malformed", relabelled("2026-12-01T10:30", "2026-11-24T10:20")),
        ("lives-too-long", "envelope-malformed", relabelled("2026-12-01T10:30", "2026-12-25T10:30")),
        ("sequence-zero", "envelope-malformed", relabelled("0000000000000042", "0000000000000000")),
        ("sequence-as-number", "envelope-malformed", relabelled('"0000000000000042"', "42")),
        ("newline-after-header", "envelope-malformed", relabelled('"}', '"}\n')),
        (
            "same-key-twice",
            "envelope-malformed",
            Pair(pair.suite, SIGNING, (INBOX, INBOX)).parts(body, CONTENT_KEY, size=16384),
        ),
        ("more-keys-named-than-wraps", "envelope-malformed", relabelled('","sequence', f",{'0' * 32}" + '","sequence')),
        ("for-another-organisation", "envelope-not-for-us", relabelled('"abri-be"', '"refuge-be"')),
        ("expired", "envelope-expired", _dated(relabelled, "2026-11-17T10:20:00Z", "2026-11-24T10:20:00Z")),
        ("postdated", "envelope-postdated", _dated(relabelled, "2026-11-24T10:40:00Z", "2026-12-01T10:30:00Z")),
        ("misdated", "envelope-misdated", _dated(relabelled, "2026-11-25T10:40:00Z", "2026-12-01T10:30:00Z")),
        ("signed-by-another-key", "envelope-altered", honest.but(signing=OTHER_INBOX)),
        (
            "names-another-signing-key",
            "envelope-unknown-key",
            Pair(pair.suite, OTHER_INBOX, (INBOX,)).parts(body, CONTENT_KEY),
        ),
        (
            "sealed-to-another-key",
            "envelope-unknown-key",
            Pair(pair.suite, SIGNING, (OTHER_INBOX,)).parts(body, CONTENT_KEY),
        ),
        ("wrapped-for-another-key", "envelope-unopenable", honest.but(wraps=elsewhere)),
        ("wrapped-under-another-header", "envelope-unopenable", honest.but(header=pair.header(sequence=f"{43:016d}"))),
        ("encrypted-under-another-key", "envelope-unopenable", honest.but(content_key=bytes(32))),
        ("committed-to-another-key", "envelope-uncommitted", honest.but(commitment=commitment(pair.suite, bytes(32)))),
        ("padding-not-zero", "envelope-malformed", honest.but(padded=padded(body, room)[:-1] + b"\x01")),
        (
            "body-longer-than-room",
            "envelope-malformed",
            honest.but(padded=(room - 3).to_bytes(4, "big").ljust(room, b"\0")),
        ),
    ]
    made = [{"name": name, "code": code, "envelope": text(parts.envelope)} for name, code, parts in wrong]
    unsigned = honest.envelope.replace(honest.signature, bytes(64))
    return [*made, {"name": "unsigned", "code": "envelope-unsigned", "envelope": text(unsigned)}]


def _swapped(header: str) -> tuple[str, str]:
    """Return the first two members of a header, and the same the other way round."""
    version, number, _ = header.removeprefix("{").split(",", 2)
    return f"{version},{number}", f"{number},{version}"


def _dated(relabelled: Any, time: str, expires: str) -> Parts:  # noqa: ANN401 - a local function
    parts: Parts = relabelled(
        '"time":"2026-11-24T10:20:00Z","recipient":"abri-be","expires":"2026-12-01T10:30:00Z"',
        f'"time":"{time}","recipient":"abri-be","expires":"{expires}"',
    )
    return parts


def key_vectors() -> Vector:
    """Return keys of every kind with their ids, keys to refuse, a key document and an agreement."""
    ccem, abri = (SigningKey.from_secret(secret) for secret in (CCEM_IDENTITY, ABRI_IDENTITY))
    signing, receipt = SigningKey.from_secret(SIGNING), SigningKey.from_secret(RECEIPT)
    inbox = {kind: InboxKey.from_secret(kind, INBOX) for kind in (KeyKind.X_WING, KeyKind.X25519)}
    document = KeyDocument(
        organisation=ABRI,
        serial=1,
        issued=AT,
        hears=("receipt.given.v1", "referral.accepted.v1", "referral.consent-withdrawn.v1", "referral.offered.v1"),
        keys=(
            publish(abri.public, KeyPurpose.IDENTITY, AT, AT + timedelta(days=3_653)),
            publish(receipt.public, KeyPurpose.RECEIPT, AT, AT + timedelta(days=182)),
            publish(signing.public, KeyPurpose.SIGNING, AT, AT + timedelta(days=182)),
            publish(inbox[KeyKind.X_WING].public, KeyPurpose.INBOX, AT, AT + timedelta(days=7)),
        ),
    )
    note = sign_key_document(document, abri)
    kinds = {CCEM: RecipientKind.SUPPORT, ABRI: RecipientKind.HEALTH}
    terms = Terms(AT, AT + timedelta(days=365), kinds, {ABRI: frozenset({ReferralKind.SERVICE})})
    keys: dict[KeyKind, SigningKey | InboxKey] = {KeyKind.ED25519: signing, **inbox}
    return {
        "keys": [
            {"kind": kind, "secret": key.secret.hex(), "public": key.public.public.hex(), "id": key.id}
            for kind, key in keys.items()
        ],
        "refused": _refused_keys(inbox[KeyKind.X_WING].public.public),
        "identities": {CCEM: identity_vkey(CCEM, ccem.public), ABRI: identity_vkey(ABRI, abri.public)},
        "identity_secrets": {CCEM: CCEM_IDENTITY.hex(), ABRI: ABRI_IDENTITY.hex()},
        "key_document": note,
        "key_documents_refused": _refused_documents(note, abri),
        "agreement": agree(Identity(CCEM, ccem), Identity(ABRI, abri), terms),
    }


def _refused_documents(note: str, identity: SigningKey) -> list[Vector]:
    """Return key documents that their owner has signed, and nobody takes."""
    text, signer = note.split("\n\n", maxsplit=1)[0] + "\n", note_signer(ABRI, KeyPurpose.IDENTITY, identity)
    hears = text[text.index('"hears"') : text.index('"keys"')]
    wrong = {
        "hears-missing": "",
        "hears-in-another-order": '"hears":["referral.offered.v1","receipt.given.v1"],',
        "hears-one-twice": '"hears":["receipt.given.v1","receipt.given.v1"],',
        "hears-without-version": '"hears":["receipt.given"],',
        "hears-version-zero": '"hears":["receipt.given.v0"],',
        "hears-in-capitals": '"hears":["Receipt.given.v1"],',
    }
    return [
        {"name": name, "code": "document-malformed", "note": sign(text.replace(hears, instead), signer)}
        for name, instead in wrong.items()
    ]


def _refused_keys(x_wing: bytes) -> list[Vector]:
    field = 2**255 - 19

    def little(number: int) -> str:
        return number.to_bytes(32, "little").hex()

    order_eight = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
    order_eight_u = 0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0
    low = [("ed25519", little(y)) for y in (0, 1, field - 1, order_eight, field - order_eight, 1 | 1 << 255)]
    low += [("x25519", little(u)) for u in (0, 1, field - 1, order_eight_u)]
    low += [("x-wing", x_wing[:-32].hex() + little(0))]
    unreduced = [("ed25519", little(field)), ("ed25519", little(field + 18)), ("ed25519", little(2))]
    unreduced += [("x25519", little(field)), ("x25519", little(9 | 1 << 255)), ("x-wing", "ff" * 3 + x_wing[3:].hex())]
    wrong = [("ed25519", "00" * 31), ("x25519", "09" * 33), ("x-wing", x_wing[:-1].hex())]
    return [
        {"kind": kind, "public": public, "code": code}
        for code, keys in (("key-low-order", low), ("key-non-canonical", unreduced), ("key-wrong-length", wrong))
        for kind, public in keys
    ]


def receipt_vectors() -> Vector:
    """Return a receipt with what it is about, and receipts to refuse."""
    key = SigningKey.from_secret(RECEIPT)
    envelope = bytes(4096)
    receipt = Receipt(
        sender=CCEM,
        recipient=ABRI,
        message=MessageId(UUID("0b5f9c6e-3f0a-4d7c-9a53-7d4a3f1f6c21")),
        sealed=sha256(envelope),
        at=AT,
        leaf=leaf_hash(b"an entry of the log"),
    )
    note = make_receipt(receipt, key)

    def signed(change: str) -> str:
        return sign(change, Signer(KeyName("abri-be/receipt"), key.handle))

    said = receipt.text()
    refused = [
        ("another-message", "receipt-forged", note.replace("0b5f9c6e", "1b5f9c6e")),
        ("another-recipient", "receipt-forged", note.replace("\nabri-be\n", "\nrefuge-be\n")),
        ("names-another-recipient", "receipt-unverified", signed(said.replace("\nabri-be\n", "\nrefuge-be\n"))),
        ("no-signature", "receipt-malformed", said + "\n"),
        ("another-key", "receipt-unverified", make_receipt(receipt, SigningKey.from_secret(SIGNING))),
        ("another-name", "receipt-unverified", sign(said, Signer(KeyName("abri-be/signing"), key.handle))),
        ("another-form", "receipt-malformed", signed(said.replace("receipt.v1", "receipt.v2"))),
        ("a-line-more", "receipt-malformed", signed(said + "more\n")),
        ("a-fraction-of-a-second", "receipt-malformed", signed(said.replace(":45Z", ":45.0Z"))),
    ]
    return {
        "receipt_key": {"secret": RECEIPT.hex(), "public": key.public.public.hex(), "id": key.id},
        "receipt_vkey": vkey(KeyName("abri-be/receipt"), key.public.public),
        "envelope": "4096 zero bytes",
        "sealed_sha256": sha256(envelope).hex(),
        "text": said,
        "note": note,
        "refused": [{"name": name, "code": code, "note": wrong} for name, code, wrong in refused],
    }


def spelled(vector: Vector) -> str:
    """Return a file's content."""
    return json.dumps(vector, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write every file."""
    VECTORS.mkdir(parents=True, exist_ok=True)
    for suite in (1, 2):
        (VECTORS / f"envelope-suite-{suite}.json").write_text(spelled(envelope_vectors(suite)))
    (VECTORS / "keys.json").write_text(spelled(key_vectors()))
    (VECTORS / "receipts.json").write_text(spelled(receipt_vectors()))


if __name__ == "__main__":
    main()
