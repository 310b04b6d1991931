"""What the example partner system seals and signs, our code opens, and the other way round; forgeries open nowhere.

The example was written from docs/protocol/ alone. Where the two differ, one of the documents is not enough.
"""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from examples.partner_system import cli, envelope, moments, receipts
from examples.partner_system.agreement import Agreement
from examples.partner_system.folder import Folder
from examples.partner_system.key_document import KeyDocument
from examples.partner_system.keychain import Keychain
from examples.partner_system.keys import Kind, PublishedKey, Purpose, enrol, inbox_secret, key_id, public_of
from examples.partner_system.notes import Verifier, read_vkey
from examples.partner_system.partners import Partner, Partners
from examples.partner_system.refusal import Refused
from shared.contracts.heard import HEARD
from shared.contracts.ids import MessageId, OrganisationId
from shared.sealing.agreement import open_agreement
from shared.sealing.codes import DocumentError, ReceiptError
from shared.sealing.documents import parse_identity
from shared.sealing.key_document import open_key_document
from shared.sealing.receipts import verify_receipt
from shared.sealing.suites import KeyKind
from tests.support.day_centre import CENTRE, HOUSE, Acquainted, House, acquaint, agreement_signed_by, prepared, said
from tests.support.vectors import VECTORS

NOW = datetime.now(UTC)
ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
HOLDS = (datetime(2026, 11, 24, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
KINDS = {1: (Kind.X_WING, KeyKind.X_WING), 2: (Kind.X25519, KeyKind.X25519)}
FILES = {suite: json.loads((VECTORS / f"envelope-suite-{suite}.json").read_text()) for suite in KINDS}
KEYS = json.loads((VECTORS / "keys.json").read_text())
RECEIPTS = json.loads((VECTORS / "receipts.json").read_text())


def vectors(part: str) -> list[Any]:
    return [
        pytest.param(suite, vector, id=f"suite {suite} {vector['name']}")
        for suite, file in FILES.items()
        for vector in file[part]
    ]


def read(suite: int, raw: bytes) -> bytes:
    """Read an envelope of the vectors with the reader that they describe."""
    file = FILES[suite]
    key, reader = file["signing_key"], file["reader"]
    signing = PublishedKey(Purpose.SIGNING, Kind.ED25519, key["id"], bytes.fromhex(key["public"]), *ALWAYS)
    inboxes = {
        key["id"]: inbox_secret(KINDS[suite][0], bytes.fromhex(key["secret"]))
        for key in file["inbox_keys"]
        if key["id"] == reader["inbox_key"]
    }
    sealed = envelope.read(raw)
    if sealed.header.recipient != reader["organisation"]:
        raise Refused("envelope-not-for-us")
    sealed.check_signature(signing)
    sealed.check_time(moments.read(reader["at"]))
    return sealed.body(inboxes)


def bytes_of(suite: int, vector: dict[str, Any]) -> bytes:
    if "envelope" in vector:
        return base64.b64decode(vector["envelope"])
    whole = next(opens for opens in FILES[suite]["opens"] if opens["name"] == vector["of"])
    raw = bytearray(base64.b64decode(whole["envelope"]))
    if "xor" in vector:
        raw[vector["at"]] ^= int(vector["xor"], 16)
    return bytes(raw[: vector.get("keep")]) + bytes(vector.get("zeros", 0))


@pytest.mark.parametrize(("suite", "vector"), vectors("opens"))
def test_a_vector_that_opens(suite: int, vector: dict[str, Any]) -> None:
    raw = base64.b64decode(vector["envelope"])
    assert read(suite, raw).decode() == vector["body"]
    sealed = envelope.read(raw)
    assert sealed.header.written().decode() == vector["header"]
    assert sealed.signed().hex() == vector["signed"]
    assert sealed.commitment.hex() == vector["commitment"]


@pytest.mark.parametrize(("suite", "vector"), vectors("refused"))
def test_a_vector_that_is_refused(suite: int, vector: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        read(suite, bytes_of(suite, vector))
    assert refused.value.code == vector["code"]


@pytest.mark.parametrize("vector", KEYS["keys"], ids=lambda vector: vector["kind"])
def test_a_key_of_the_vectors(vector: dict[str, str]) -> None:
    public = public_of(Kind(vector["kind"]), bytes.fromhex(vector["secret"]))
    assert public.hex() == vector["public"]
    assert key_id(public) == vector["id"]
    enrol(Kind(vector["kind"]), public)


@pytest.mark.parametrize("vector", KEYS["refused"], ids=lambda vector: f"{vector['kind']} {vector['code']}")
def test_a_key_that_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        enrol(Kind(vector["kind"]), bytes.fromhex(vector["public"]))
    assert refused.value.code == vector["code"]


def test_the_documents_of_the_vectors() -> None:
    agreement = Agreement.read(KEYS["agreement"], read_vkey(KEYS["identities"]["ccem-fr"]))
    _, abri = agreement.sides("ccem-fr")
    assert abri.identity.vkey == KEYS["identities"]["abri-be"]
    assert abri.may_send == ("service",)
    assert abri.kind == "health"
    document = KeyDocument.read(KEYS["key_document"], abri.identity)
    assert {key.purpose for key in document.keys} == {
        Purpose.IDENTITY, Purpose.RECEIPT, Purpose.SIGNING, Purpose.INBOX,
    }  # fmt: skip
    assert "referral.offered.v1" in document.hears


@pytest.mark.parametrize("vector", KEYS["key_documents_refused"], ids=lambda vector: vector["name"])
def test_a_key_document_that_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        KeyDocument.read(vector["note"], read_vkey(KEYS["identities"]["abri-be"]))
    assert refused.value.code == vector["code"]


@pytest.mark.parametrize("change", [("abri-be", "abro-be"), (".v1", ".v2"), ("serial", "seriel"), (":1,", ":2,")])
def test_a_key_document_that_was_changed_is_refused(change: tuple[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        KeyDocument.read(KEYS["key_document"].replace(*change, 1), read_vkey(KEYS["identities"]["abri-be"]))
    assert refused.value.code == "document-forged"


def test_both_read_a_key_document_with_the_keys_of_many_years_and_none_with_more() -> None:
    seeds = [number.to_bytes(32, "big") for number in range(257)]
    kinds = [(Purpose.INBOX, Kind.X_WING)] * 20 + [(Purpose.RECEIPT, Kind.ED25519)] * 237
    made = [(purpose, kind, public_of(kind, seed)) for (purpose, kind), seed in zip(kinds, seeds, strict=True)]
    keys = tuple(PublishedKey(*key[:2], key_id(key[2]), key[2], *HOLDS) for key in made)
    identity = Ed25519PrivateKey.from_private_bytes(bytes(32))
    verifier = Verifier(f"{CENTRE}/identity", identity.public_key().public_bytes_raw())
    pinned = parse_identity(CENTRE, verifier.vkey)

    document = KeyDocument(CENTRE, 1, HOLDS[0], (), keys[:256])
    note = document.signed(identity)
    assert [len(KeyDocument.read(note, verifier).keys), len(open_key_document(note, CENTRE, pinned).keys)] == [256, 256]
    more = replace(document, keys=keys).signed(identity)
    with pytest.raises(Refused, match="document-malformed"):
        KeyDocument.read(more, verifier)
    with pytest.raises(DocumentError, match="document-malformed"):
        open_key_document(more, CENTRE, pinned)


def receipt_key() -> PublishedKey:
    key = RECEIPTS["receipt_key"]
    return PublishedKey(Purpose.RECEIPT, Kind.ED25519, key["id"], bytes.fromhex(key["public"]), *ALWAYS)


def test_the_receipt_of_the_vectors() -> None:
    receipt = receipts.verify(RECEIPTS["note"], "abri-be", [receipt_key()])
    assert receipt.text() == RECEIPTS["text"]
    assert receipt.digest.hex() == RECEIPTS["sealed_sha256"]


@pytest.mark.parametrize("vector", RECEIPTS["refused"], ids=lambda vector: vector["name"])
def test_a_receipt_that_is_refused(vector: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        receipts.verify(vector["note"], "abri-be", [receipt_key()])
    assert refused.value.code == vector["code"]


def agreement_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{HOUSE}.*.agreement"))


# The two, on paper: each with keys, documents and an agreement that its own code made.


@pytest.fixture(scope="module", params=[1, 2], ids=["suite 1", "suite 2"])
def two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Acquainted:
    return acquaint(tmp_path_factory.mktemp("two"), *KINDS[request.param])


def test_our_code_accepts_its_key_document_and_its_countersignature(two: Acquainted) -> None:
    own, house = two.centre.folder.path, two.house
    identity = parse_identity(HOUSE, house.identity.vkey)
    agreement, centre = open_agreement(agreement_files(own)[0].read_text(), HOUSE, identity)
    assert str(centre) == (own / f"{CENTRE}.vkey").read_text().strip()
    assert agreement.partner_of(HOUSE).organisation == CENTRE
    document = open_key_document((own / f"{CENTRE}.keys").read_text(), CENTRE, centre)
    assert set(document.hears) < set(HEARD)
    assert "referral.offered.v1" not in document.hears
    published = {key.purpose.value for key in document.keys}
    assert published == {"identity", "signing", "receipt", "inbox"}
    inboxes = [key for key in document.keys if key.purpose.value == "inbox"]
    assert inboxes[-1].valid_until > NOW + timedelta(days=90)


def test_our_code_opens_what_it_seals(two: Acquainted) -> None:
    referral, _ = two.centre.desk.offer(prepared("sealed"), HOUSE)
    made = next(made for made in two.centre.desk.to_send() if made.referral == referral)
    offered = two.house.open(made)
    assert (offered.type, str(offered.referral), offered.n, offered.seen) == ("referral.offered.v1", referral, 1, 0)
    assert offered.data.terms.until > NOW + timedelta(days=29)


def test_it_opens_what_our_code_seals(two: Acquainted) -> None:
    referral, _ = two.centre.desk.offer(prepared("opened"), HOUSE)
    known = two.centre.store.referral(referral)
    assert known
    *_, opened = two.centre.take(two.house.seal(said(known, "opened", 1, 1)))
    assert (opened.event, opened.referral) == ("referral.opened.v1", referral)


def test_our_code_verifies_the_receipts_that_it_gives(two: Acquainted) -> None:
    parcel = two.house.seal(b'{"type": "referral.dreamt.v1"}')
    two.centre.take(parcel)
    given = two.house.open(two.centre.outgoing("receipt.given.v1"))
    own = two.centre.folder.path
    identity = parse_identity(CENTRE, (own / f"{CENTRE}.vkey").read_text().strip())
    document = open_key_document((own / f"{CENTRE}.keys").read_text(), CENTRE, identity)
    receipt = verify_receipt(given.data.note, document)
    assert receipt.covers(given.data.message, parcel.raw)
    assert not receipt.covers(given.data.message, parcel.raw[:-1])
    with pytest.raises(ReceiptError):
        verify_receipt(given.data.note.replace(str(receipt.message), str(uuid4())), document)


def test_it_verifies_the_receipts_that_our_code_gives_and_refuses_all_others(two: Acquainted) -> None:
    referral, _ = two.centre.desk.offer(prepared("receipts"), HOUSE)
    made = next(made for made in two.centre.desk.to_send() if made.referral == referral)
    house = two.house
    wrong = {
        "receipt-for-another-message": house.note_for(made, message=MessageId(uuid4())),
        "receipt-for-other-bytes": house.note_for(made, sealed=bytes(32)),
        "receipt-forged": house.note_for(made).replace("org.relais.receipt.v1", "org.relais.receipt.v2"),
        "receipt-malformed": "no note at all",
        "receipt-unverified": house.note_for(made, at=NOW - timedelta(days=400)),
    }
    for code, note in wrong.items():
        *_, refused = two.centre.take(house.receipt(made, note))
        assert refused.codes["code"] == code
        assert not two.centre.store.has_receipt(made.id)
    stranger = replace(made, id=str(uuid4()))
    *_, refused = two.centre.take(house.receipt(stranger))
    assert refused.codes["code"] == "receipt-unknown"
    *_, given = two.centre.take(house.receipt(made))
    assert (given.event, given.referral, given.codes["of"]) == ("receipt.given.v1", referral, "referral.offered.v1")
    assert two.centre.store.has_receipt(made.id)


def test_an_agreement_is_countersigned_only_if_it_is_right(tmp_path: Path) -> None:
    house = House.build(tmp_path / "house", KeyKind.X25519)
    own = Folder(tmp_path / "centre")
    _, identity = own.make_keys(CENTRE, Kind.X25519, NOW)
    note = house.signed_agreement(identity.vkey)
    stranger = Verifier("ccem-fr/identity", public_of(Kind.ED25519, bytes(32)))
    other = Folder(tmp_path / "other")
    _, somebody = other.make_keys(CENTRE, Kind.X25519, NOW)
    cases = [
        ("document-forged", note.replace('"transfer_basis":null', '"transfer_basis":"adequacy"'), None),
        ("document-unsigned", note.replace("— ccem-fr/identity", "— ccem-be/identity"), None),
        ("document-malformed", house.signed_agreement(somebody.vkey), None),
        ("document-malformed", note.replace("shared", "sharef"), None),
        ("document-malformed", note.replace('"kind":"support"', '"kind":"soutien"'), None),
        ("identity-differs", note, stranger),
    ]
    for code, wrong, compared in cases:
        with pytest.raises(Refused) as refused:
            own.countersign(wrong, compared)
        assert refused.value.code == code
        assert agreement_files(own.path) == []
    _, path = own.countersign(note, read_vkey(house.identity.vkey))
    once = path.read_text()
    assert own.countersign(once)[1].read_text() == once
    with pytest.raises(DocumentError):
        open_agreement(note, HOUSE, parse_identity(HOUSE, house.identity.vkey))


def test_a_renewal_stands_beside_what_it_renews_and_counts_once_it_begins(tmp_path: Path) -> None:
    both = acquaint(tmp_path, Kind.X25519, KeyKind.X25519)
    folder, keychain, house = both.centre.folder, both.centre.folder.keychain(), both.house
    _, identity = keychain.identity()
    ends = {"begins": timedelta(days=20), "ends": timedelta(days=60)}
    folder.countersign(agreement_signed_by(house.identity, CENTRE, identity.vkey, may_send=(), **ends))
    assert len(agreement_files(folder.path)) == 2
    partners = folder.partners(keychain, [both.house_keys], both.centre.store)

    def at(days: int) -> tuple[bool, bool]:
        moment = NOW + timedelta(days=days)
        concluding = partners.may_leave(HOUSE, moment, words=False)
        return partners.may_send(HOUSE, "transfer", moment), concluding

    partners.get(HOUSE, NOW + timedelta(days=40))
    assert {days: at(days) for days in (-2, 19, 21, 61, 115, 117)} == {
        -2: (True, True),
        19: (True, True),
        21: (False, True),
        61: (False, True),
        115: (False, True),
        117: (False, False),
    }
    another = House.build(tmp_path / "another", KeyKind.X25519)
    _, path = folder.countersign(another.signed_agreement(identity.vkey))
    assert agreement_files(folder.path) == [path], "another identity ends what was agreed with the one before"


def test_keys_are_renewed_and_the_identity_stays(tmp_path: Path) -> None:
    own = Folder(tmp_path / "centre", b"a passphrase")
    first, identity = own.make_keys(CENTRE, Kind.X25519, NOW)
    later, same = own.make_keys(CENTRE, Kind.X25519, NOW + timedelta(days=170))
    assert (identity, later.serial) == (same, first.serial + 1)
    assert {key.published.id for key in first.keys} & {key.published.id for key in later.keys}
    purpose_of = {key.published.purpose for key in later.keys if key.published.holds(NOW + timedelta(days=200))}
    assert {Purpose.SIGNING, Purpose.RECEIPT, Purpose.INBOX} <= purpose_of
    document = KeyDocument.read((own.path / f"{CENTRE}.keys").read_text(), identity)
    assert document.serial == later.serial
    for wrong in (None, b"another"):
        with pytest.raises(Refused) as refused:
            Folder(own.path, wrong).keychain()
        assert refused.value.code == "passphrase-wrong"
    assert Keychain.load(own.path / "secret.keys", b"a passphrase") == later


def test_the_commands_make_partners(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, house = tmp_path / "centre", House.build(tmp_path / "house", KeyKind.X25519)
    passphrase, agreement, identity = (tmp_path / name for name in ("passphrase", "agreement", "identity"))
    passphrase.write_text("a passphrase\n")
    common = ["--folder", str(folder), "--passphrase-file", str(passphrase)]

    def run(command: str, *more: str) -> tuple[int, dict[str, Any]]:
        code = cli.main([command, *common, *more])
        return code, json.loads(capsys.readouterr().out)

    code, made = run("keys", "--suite", "2")
    assert (code, made["serial"]) == (0, 1)
    assert (folder / f"{CENTRE}.vkey").read_text() == made["identity"] + "\n"
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}
    agreement.write_text(house.signed_agreement(made["identity"]))
    identity.write_text(made["identity"])
    code, refused = run("agree", "--agreement", str(agreement), "--partner-identity", str(identity))
    assert (code, refused["code"]) == (2, "identity-differs")
    identity.write_text(house.identity.vkey)
    code, signed = run("agree", "--agreement", str(agreement), "--partner-identity", str(identity))
    assert (code, signed["file"], signed[HOUSE]) == (0, agreement_files(folder)[0].name, house.identity.vkey)
    open_agreement((folder / signed["file"]).read_text(), HOUSE, parse_identity(HOUSE, house.identity.vkey))
    refer = ("--partner-keys", str(identity), "--referral", str(identity))
    for wrong, expected in (
        (refer, "no-way-given"),
        ((*refer, "--http", "http://localhost"), "referral-file-malformed"),
    ):
        code, refused = run("refer", *wrong)
        assert (code, refused["code"]) == (2, expected)
    passphrase.write_text("another")
    code, refused = run("keys")
    assert (code, refused["code"]) == (2, "passphrase-wrong")


def test_an_older_key_document_is_refused(two: Acquainted, tmp_path: Path) -> None:
    folder, keychain = two.centre.folder, two.centre.folder.keychain()
    newer = KeyDocument.read(two.house_keys.read_text(), read_vkey(two.house.identity.vkey))
    with two.centre.store.transaction():
        two.centre.store.accept_document(HOUSE, newer.serial + 1, b"a later one")
    with pytest.raises(Refused) as refused:
        folder.partners(keychain, [two.house_keys], two.centre.store)
    assert refused.value.code == "document-superseded"
    unknown = tmp_path / "unknown.keys"
    unknown.write_text(two.house_keys.read_text().replace("— ccem-fr/", "— nobody-fr/"))
    with pytest.raises(Refused) as refused:
        folder.partners(keychain, [unknown], two.centre.store)
    assert refused.value.code == "agreement-none"


@pytest.mark.parametrize(
    ("code", "days"), [("agreement-expired", 30 + 57), ("envelope-expired", 2), ("key-expired", 200)]
)
def test_what_comes_at_the_wrong_time_is_refused(code: str, days: int, two: Acquainted) -> None:
    parcel = two.house.seal(b"{}")
    document = KeyDocument.read(two.house_keys.read_text(), read_vkey(two.house.identity.vkey))
    ever = tuple(
        replace(key, valid_from=ALWAYS[0], valid_until=key.valid_until if code == "key-expired" else ALWAYS[1])
        for key in document.keys
    )
    agreement = Agreement.read(
        agreement_files(two.centre.folder.path)[0].read_text(),
        read_vkey((two.centre.folder.path / f"{CENTRE}.vkey").read_text()),
    )
    partners = Partners(CENTRE, {HOUSE: Partner((agreement,), replace(document, keys=ever))})
    with pytest.raises(Refused) as refused:
        partners.admit(parcel.raw, parcel.labels, NOW + timedelta(days=days))
    assert refused.value.code == code


def test_the_door_refuses_what_is_not_for_it(two: Acquainted, tmp_path: Path) -> None:
    good = two.house.seal(b"{}")
    elsewhere = two.house.seal(b"{}", to=OrganisationId("refuge-be"))
    stranger = House.build(tmp_path / "stranger", KeyKind.X25519, OrganisationId("inconnu-fr"))
    nobody = two.house.seal(b"{}", signer=stranger.identity.key)
    cases = {
        "envelope-not-for-us": (elsewhere.raw, elsewhere.labels),
        "key-unknown": (nobody.raw, nobody.labels),
        "envelope-mislabelled": (good.raw, {**good.labels, "ce-subject": "more"}),
        "envelope-truncated": (good.raw[:-1], good.labels),
        "envelope-altered": (good.raw[:-1] + bytes([good.raw[-1] ^ 1]), good.labels),
    }
    for code, (raw, labels) in cases.items():
        *_, refused = two.centre.desk.take(raw, labels)
        assert (refused.event, refused.codes["code"]) == ("refused", code)
    *_, refused = two.centre.desk.take(
        good.raw, {name: value for name, value in good.labels.items() if name != "ce-id"}
    )
    assert refused.codes["code"] == "envelope-mislabelled"


def test_the_same_id_with_other_bytes_is_refused(two: Acquainted) -> None:
    number = UUID(str(uuid4()))
    two.centre.take(two.house.seal(b"{}", id_=number))
    *_, refused = two.centre.take(two.house.seal(b"{ }", id_=number))
    assert refused.codes["code"] == "message-id-reused"
