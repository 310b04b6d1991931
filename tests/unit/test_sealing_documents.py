"""Key documents and agreements are believed when exactly the right people signed exactly this text, and never else."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audit.note import KeyName, Signer, Verifier, sign, vkey
from shared.contracts.codes import RecipientKind, ReferralKind, TransferBasis
from shared.contracts.ids import OrganisationId
from shared.sealing.agreement import Agreement, Party, open_agreement, sign_agreement
from shared.sealing.codes import DirectoryCode, DirectoryError, DocumentCode, DocumentError, KeyCode, KeyRefusedError
from shared.sealing.documents import identity_vkey, parse_identity
from shared.sealing.key_document import KeyDocument, open_key_document, publish, sign_key_document
from shared.sealing.keys import InboxKey, KeyPurpose, SigningKey, VerifyKey
from shared.sealing.suites import KeyKind

AT = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
YEAR = timedelta(days=365)
CCEM, ABRI = OrganisationId("ccem-fr"), OrganisationId("abri-be")
CCEM_IDENTITY = SigningKey.from_secret(bytes(range(32)))
ABRI_IDENTITY = SigningKey.from_secret(bytes(range(1, 33)))
SIGNING = SigningKey.from_secret(bytes(range(2, 34)))
INBOX = InboxKey.from_secret(KeyKind.X_WING, bytes(range(3, 35)))
LOW_ORDER = b"\x01" + bytes(31)

DOCUMENT = KeyDocument(
    organisation=ABRI,
    serial=7,
    issued=AT,
    hears=("receipt.given.v1", "referral.offered.v2"),
    keys=(
        publish(SIGNING.public, KeyPurpose.SIGNING, AT, AT + YEAR),
        publish(INBOX.public, KeyPurpose.INBOX, AT, AT + timedelta(days=7)),
    ),
)
AGREEMENT = Agreement(
    parties=(
        Party(
            organisation=ABRI,
            kind=RecipientKind.POLICE,
            identity=identity_vkey(ABRI, ABRI_IDENTITY.public),
            may_send=(ReferralKind.SERVICE,),
        ),
        Party(
            organisation=CCEM,
            kind=RecipientKind.SUPPORT,
            identity=identity_vkey(CCEM, CCEM_IDENTITY.public),
            may_send=(ReferralKind.SERVICE, ReferralKind.TRANSFER),
        ),
    ),
    valid_from=AT,
    valid_until=AT + YEAR,
    transfer_basis=TransferBasis.ADEQUACY,
)


def identity(organisation: OrganisationId, key: SigningKey) -> tuple[Signer, Verifier]:
    signer = Signer(KeyName(f"{organisation}/identity"), key.handle)
    return signer, signer.verifier


CCEM_SIGNER, CCEM_VERIFIER = identity(CCEM, CCEM_IDENTITY)
ABRI_SIGNER, ABRI_VERIFIER = identity(ABRI, ABRI_IDENTITY)
KEYS_NOTE = sign_key_document(DOCUMENT, ABRI_IDENTITY)
AGREEMENT_NOTE = sign_agreement(AGREEMENT, (ABRI_IDENTITY, CCEM_IDENTITY))


def code(step: Callable[..., object], *arguments: object) -> DocumentCode:
    with pytest.raises(DocumentError) as caught:
        step(*arguments)
    assert isinstance(caught.value.code, DocumentCode)
    assert caught.value.__cause__ is None
    return caught.value.code


def keys_note(change: Callable[[dict[str, Any]], object], form: str = "org.relais.keys.v1") -> str:
    """Return a key document that ABRI really signed, its JSON changed first."""
    document = json.loads(KEYS_NOTE.split("\n")[1])
    change(document)
    return sign(f"{form}\n{json.dumps(document, separators=(',', ':'))}\n", ABRI_SIGNER)


def agreement_note(change: Callable[[dict[str, Any]], object]) -> str:
    """Return an agreement that both really signed, its JSON changed first."""
    agreement = json.loads(AGREEMENT_NOTE.split("\n")[1])
    change(agreement)
    text = f"org.relais.agreement.v1\n{json.dumps(agreement, separators=(',', ':'))}\n"
    return sign(text, ABRI_SIGNER, CCEM_SIGNER)


def published(raw: bytes, purpose: str, kind: str) -> dict[str, str]:
    return {
        "purpose": purpose,
        "kind": kind,
        "id": VerifyKey.enrol(raw).id if len(raw) == 32 and raw != LOW_ORDER else "0" * 32,
        "public": base64.b64encode(raw).decode(),
        "valid_from": "2026-11-24T10:20:00Z",
        "valid_until": "2027-11-24T10:20:00Z",
    }


def test_a_key_document_reads_as_it_was_signed() -> None:
    opened = open_key_document(KEYS_NOTE, ABRI, ABRI_VERIFIER)
    assert opened == DOCUMENT
    assert [entry.key for entry in opened.keys] == [SIGNING.public, INBOX.public]
    assert KEYS_NOTE.startswith(
        'org.relais.keys.v1\n{"organisation":"abri-be","serial":7,"issued":"2026-11-24T10:20:00Z",'
        '"hears":["receipt.given.v1","referral.offered.v2"],"keys":['
    )


def test_keys_are_found_by_purpose_while_they_hold() -> None:
    assert [entry.id for entry in DOCUMENT.for_purpose(KeyPurpose.INBOX, AT)] == [INBOX.id]
    assert not list(DOCUMENT.for_purpose(KeyPurpose.INBOX, AT + timedelta(days=7)))
    assert not list(DOCUMENT.for_purpose(KeyPurpose.RECEIPT, AT))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda d: d.update(extra=1), id="unknown member"),
        pytest.param(lambda d: d.pop("serial"), id="missing member"),
        pytest.param(lambda d: d.update(serial=0), id="serial zero"),
        pytest.param(lambda d: d.update(serial=2**53), id="serial too large"),
        pytest.param(lambda d: d.update(serial=7.0), id="serial with a fraction"),
        pytest.param(lambda d: d.update(serial="7"), id="serial as text"),
        pytest.param(lambda d: d.update(issued="2026-11-24T10:20:00+00:00"), id="time in another spelling"),
        pytest.param(lambda d: d.update(issued=0), id="time as number"),
        pytest.param(lambda d: d.update(keys=[]), id="no key"),
        pytest.param(lambda d: d.update(keys=d["keys"] * 129), id="too many keys"),
        pytest.param(lambda d: d.pop("hears"), id="hears nothing that it says"),
        pytest.param(lambda d: d.update(hears=d["hears"][::-1]), id="types in another order"),
        pytest.param(lambda d: d.update(hears=d["hears"][:1] * 2), id="a type twice"),
        pytest.param(lambda d: d.update(hears=["receipt.given"]), id="a type without a version"),
        pytest.param(lambda d: d.update(hears=["a.b" + "c" * 60 + ".v1"]), id="a type too long"),
        pytest.param(lambda d: d.update(hears=sorted(f"a.b.v{n}" for n in range(1, 258))), id="too many types"),
        pytest.param(lambda d: d.update(organisation="ccem-fr"), id="of somebody else"),
        pytest.param(lambda d: d.update(organisation=d.pop("organisation")), id="another order"),
        pytest.param(lambda d: d["keys"][0].update(purpose="anything"), id="unknown purpose"),
        pytest.param(lambda d: d["keys"][0].update(purpose="inbox"), id="a kind that cannot serve the purpose"),
        pytest.param(lambda d: d["keys"][0].update(purpose="storage", kind="aes-256"), id="a symmetric key"),
        pytest.param(lambda d: d["keys"][0].update(public=d["keys"][0]["public"].rstrip("=")), id="base64 unpadded"),
        pytest.param(lambda d: d["keys"][0].update(valid_until=d["keys"][0]["valid_from"]), id="never valid"),
        pytest.param(lambda d: d["keys"][0].update(id=d["keys"][0]["id"].upper()), id="key id in capitals"),
    ],
)
def test_a_key_document_has_one_form(change: Callable[[dict[str, Any]], object]) -> None:
    assert code(open_key_document, keys_note(change), ABRI, ABRI_VERIFIER) is DocumentCode.MALFORMED


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda d: d["keys"].append(d["keys"][0]), id="twice the same key"),
        pytest.param(lambda d: d["keys"][0].update(id="0" * 32), id="the id of another key"),
        pytest.param(lambda d: d["keys"].append(published(LOW_ORDER, "signing", "ed25519")), id="low order"),
        pytest.param(lambda d: d["keys"].append(published(bytes(31), "signing", "ed25519")), id="short"),
        pytest.param(lambda d: d["keys"].append(published(b"\xff" * 1216, "inbox", "x-wing")), id="not reduced"),
    ],
)
def test_a_key_document_with_a_key_to_refuse_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    assert code(open_key_document, keys_note(change), ABRI, ABRI_VERIFIER) is DocumentCode.KEY_REFUSED


def test_an_agreement_is_no_key_document() -> None:
    assert code(open_key_document, AGREEMENT_NOTE, ABRI, ABRI_VERIFIER) is DocumentCode.MALFORMED
    note = keys_note(lambda _: None, form="org.relais.keys.v2")
    assert code(open_key_document, note, ABRI, ABRI_VERIFIER) is DocumentCode.MALFORMED


def test_who_signed_matters() -> None:
    by_ccem = sign(KEYS_NOTE.rsplit("\n\n", 1)[0] + "\n", CCEM_SIGNER)
    assert code(open_key_document, by_ccem, ABRI, ABRI_VERIFIER) is DocumentCode.UNSIGNED
    changed = KEYS_NOTE.replace('"serial":7', '"serial":8')
    assert code(open_key_document, changed, ABRI, ABRI_VERIFIER) is DocumentCode.FORGED
    usurper = Signer(KeyName("abri-be/identity"), CCEM_IDENTITY.handle)
    usurped = sign(KEYS_NOTE.rsplit("\n\n", 1)[0] + "\n", usurper)
    assert code(open_key_document, usurped, ABRI, ABRI_VERIFIER) is DocumentCode.UNSIGNED


def test_what_nobody_would_take_is_not_signed() -> None:
    twice = DOCUMENT.model_copy(update={"keys": DOCUMENT.keys[:1] * 2})
    assert code(sign_key_document, twice, ABRI_IDENTITY) is DocumentCode.KEY_REFUSED


@pytest.mark.parametrize("note", [KEYS_NOTE, AGREEMENT_NOTE], ids=["keys", "agreement"])
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_every_change_to_a_note_is_refused(note: str, data: st.DataObject) -> None:
    raw = note.encode()
    start = data.draw(st.integers(0, len(raw) - 1))
    stretch = data.draw(st.binary(min_size=0, max_size=3))
    cut = data.draw(st.integers(0, 3))
    changed = raw[:start] + stretch + raw[start + cut :]
    if changed == raw:
        return
    if note is KEYS_NOTE:
        code(open_key_document, changed, ABRI, ABRI_VERIFIER)
    else:
        code(open_agreement, changed, CCEM, CCEM_VERIFIER)


def test_an_agreement_reads_the_same_on_both_sides_and_pins_the_other() -> None:
    agreement, partner = open_agreement(AGREEMENT_NOTE, CCEM, CCEM_VERIFIER)
    assert (agreement, str(partner)) == (AGREEMENT, identity_vkey(ABRI, ABRI_IDENTITY.public))
    agreement, partner = open_agreement(AGREEMENT_NOTE.encode(), ABRI, ABRI_VERIFIER)
    assert (agreement, str(partner)) == (AGREEMENT, identity_vkey(CCEM, CCEM_IDENTITY.public))
    assert agreement.partner_of(ABRI).organisation == CCEM
    assert ReferralKind.TRANSFER in agreement.party(CCEM).may_send
    assert ReferralKind.TRANSFER not in agreement.party(ABRI).may_send
    assert agreement.partner_of(CCEM).kind is RecipientKind.POLICE


@pytest.mark.parametrize("signer", [ABRI_SIGNER, CCEM_SIGNER], ids=["abri", "ccem"])
def test_an_agreement_needs_both_signatures(signer: Signer) -> None:
    note = sign(AGREEMENT_NOTE.rsplit("\n\n", 1)[0] + "\n", signer)
    assert code(open_agreement, note, CCEM, CCEM_VERIFIER) is DocumentCode.UNSIGNED
    assert code(open_agreement, note, ABRI, ABRI_VERIFIER) is DocumentCode.UNSIGNED


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda a: a["parties"].reverse(), id="parties in another order"),
        pytest.param(lambda a: a["parties"].append(a["parties"][0]), id="three parties"),
        pytest.param(lambda a: a["parties"].pop(), id="one party"),
        pytest.param(lambda a: a["parties"][0].update(organisation="ccem-fr"), id="with itself"),
        pytest.param(lambda a: a["parties"][0].update(may_send=["transfer", "service"]), id="kinds in another order"),
        pytest.param(lambda a: a["parties"][0].update(may_send=["service", "service"]), id="a kind twice"),
        pytest.param(lambda a: a["parties"][0].update(may_send=["anything"]), id="unknown kind"),
        pytest.param(lambda a: a["parties"][0].update(kind="friend"), id="unknown kind of organisation"),
        pytest.param(lambda a: a["parties"][0].pop("kind"), id="no kind of organisation"),
        pytest.param(lambda a: a["parties"][1].update(organisation="autre-fr"), id="not with us"),
        pytest.param(lambda a: a["parties"][1].update(identity=a["parties"][0]["identity"]), id="not our identity"),
        pytest.param(lambda a: a["parties"][0].update(identity="abri-be/identity"), id="no vkey"),
        pytest.param(lambda a: a["parties"][0].update(identity=a["parties"][1]["identity"]), id="not their name"),
        pytest.param(lambda a: a.update(valid_until=a["valid_from"]), id="never valid"),
        pytest.param(lambda a: a.update(transfer_basis="because"), id="unknown basis"),
        pytest.param(lambda a: a.pop("transfer_basis"), id="missing member"),
    ],
)
def test_an_agreement_has_one_form(change: Callable[[dict[str, Any]], object]) -> None:
    assert code(open_agreement, agreement_note(change), CCEM, CCEM_VERIFIER) is DocumentCode.MALFORMED


def test_an_agreement_may_state_no_basis() -> None:
    agreement, _ = open_agreement(agreement_note(lambda a: a.update(transfer_basis=None)), CCEM, CCEM_VERIFIER)
    assert agreement.transfer_basis is None


def test_a_partner_whose_identity_nobody_may_trust_is_refused() -> None:
    weak = vkey(KeyName("abri-be/identity"), LOW_ORDER)
    with pytest.raises(KeyRefusedError) as caught:
        parse_identity(ABRI, weak)
    assert caught.value.code is KeyCode.LOW_ORDER
    note = agreement_note(lambda a: a["parties"][0].update(identity=weak))
    assert code(open_agreement, note, CCEM, CCEM_VERIFIER) is DocumentCode.KEY_REFUSED


@pytest.mark.parametrize(
    ("at", "refusal"),
    [
        (AT - timedelta(seconds=1), DirectoryCode.AGREEMENT_NONE),
        (AT, None),
        (AT + YEAR - timedelta(seconds=1), None),
        (AT + YEAR, DirectoryCode.AGREEMENT_EXPIRED),
    ],
)
def test_an_agreement_holds_from_when_until_when_it_says(at: datetime, refusal: DirectoryCode | None) -> None:
    if refusal is None:
        AGREEMENT.check_in_force(at)
        return
    with pytest.raises(DirectoryError) as caught:
        AGREEMENT.check_in_force(at)
    assert caught.value.code is refusal


def test_who_is_no_party_has_no_agreement() -> None:
    with pytest.raises(DirectoryError, match=r"^agreement-none$"):
        AGREEMENT.party(OrganisationId("autre-fr"))
