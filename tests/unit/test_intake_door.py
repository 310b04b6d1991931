"""What is brought to the door and is no honest envelope: always a code, never a crash, never let in."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.hears import HTTP, Door
from shared.clock import Clock
from shared.contracts.ids import OrganisationId
from shared.messaging.delivery import Delivery, Later, Unreadable
from shared.messaging.sealer import Sealer
from shared.sealing.codes import DirectoryCode, EnvelopeCode
from shared.sealing.envelope import SIZES
from shared.sealing.keyring import Holder
from shared.sealing.keys import KeyPurpose, SigningKey, VerifyKey
from tests.support.partners import Organisation, Sealed, Sender

CODES = {*map(str, EnvelopeCode), *map(str, DirectoryCode)}
QUEUE = "to.abri-be.from.ccem-fr"


@dataclass(frozen=True)
class Knocked:
    """A door, and an honest envelope for it."""

    door: Door
    sealed: Sealed
    sender: Sender

    def refusal(self, envelope: bytes, headers: dict[str, str] | None = None) -> str:
        """Return why the door does not read this; nothing when it does."""
        try:
            self.door.read(Delivery(envelope, self.sealed.headers if headers is None else headers, QUEUE))
        except (Unreadable, Later) as refused:
            return refused.code
        return ""


@pytest.fixture(scope="module")
def knocked(tmp_path_factory: pytest.TempPathFactory) -> Knocked:
    folder = tmp_path_factory.mktemp("door")
    us, them = (Organisation.make(folder, OrganisationId(name)) for name in ("abri-be", "ccem-fr"))
    us.agree_with(them)
    directory, keyring = us.directory, us.keyring(Holder.INTAKE)
    door = Door(us.id, directory, keyring, Sealer(us.id, keyring, directory, KeyPurpose.RECEIPT), Clock())
    sender = Sender.of(them, us)
    return Knocked(door, sender.seal(), sender)


def test_an_honest_envelope_is_read(knocked: Knocked) -> None:
    heard = knocked.door.read(Delivery(knocked.sealed.envelope, knocked.sealed.headers, HTTP))
    assert (heard.what.id, heard.what.sender, heard.what.answered) == (knocked.sealed.id, "ccem-fr", True)
    assert heard.attributes == {"message_id": knocked.sealed.id}


@given(data=st.data())
def test_no_bit_can_be_turned_over(knocked: Knocked, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, 8 * len(knocked.sealed.envelope) - 1))
    envelope = bytearray(knocked.sealed.envelope)
    envelope[place // 8] ^= 1 << place % 8
    assert knocked.refusal(bytes(envelope)) in CODES


@given(data=st.data())
def test_no_part_can_be_put_elsewhere(knocked: Knocked, data: st.DataObject) -> None:
    whole = knocked.sealed.envelope
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    at = data.draw(st.integers(0, len(whole)))
    moved = (whole[:start] + whole[end:])[:at] + whole[start:end] + (whole[:start] + whole[end:])[at:]
    assert moved == whole or knocked.refusal(moved) in CODES


@given(envelope=st.one_of(st.binary(max_size=300), st.sampled_from(SIZES).map(bytes)))
def test_noise_is_no_envelope(knocked: Knocked, envelope: bytes) -> None:
    assert knocked.refusal(envelope) in CODES


@given(data=st.data())
def test_the_headers_beside_it_must_say_the_same(knocked: Knocked, data: st.DataObject) -> None:
    headers = dict(knocked.sealed.headers)
    name = data.draw(st.sampled_from(sorted(headers)))
    value = data.draw(st.text(max_size=40))
    assert value == headers[name] or knocked.refusal(knocked.sealed.envelope, {**headers, name: value}) in CODES
    del headers[name]
    assert knocked.refusal(knocked.sealed.envelope, headers) == EnvelopeCode.MISLABELLED


def test_a_part_of_another_envelope_does_not_fit(knocked: Knocked) -> None:
    other = knocked.sender.seal().envelope
    for cut in (12, 500, 2_000, 4_000):
        assert knocked.refusal(knocked.sealed.envelope[:cut] + other[cut:]) in CODES


def test_whoever_is_named_a_signature_is_checked(knocked: Knocked, monkeypatch: pytest.MonkeyPatch) -> None:
    """How long the door takes must not tell whom it knows, so that its work is the same."""
    checked: list[bool] = []
    holds = VerifyKey.holds

    def counted(key: VerifyKey, signature: bytes, signed: bytes) -> bool:
        checked.append(holds(key, signature, signed))
        return checked[-1]

    monkeypatch.setattr(VerifyKey, "holds", counted)
    them = knocked.sender.organisation
    stranger = replace(knocked.sender, organisation=replace(them, id=OrganisationId("inconnu-fr")))
    audit = them.key(KeyPurpose.AUDIT_INTAKE)
    inbox = replace(audit, public=replace(audit.public, id=them.inbox_key(them.id).id))
    expected = {
        "": knocked.sender.seal(),
        "envelope-altered": altered(knocked.sender.seal()),
        "organisation-unknown": stranger.seal(),
        "key-unknown": knocked.sender.seal(signer=SigningKey.generate()),
        "key-wrong-purpose": knocked.sender.seal(signer=inbox),
    }
    for code, sealed in expected.items():
        checked.clear()
        assert knocked.refusal(sealed.envelope, sealed.headers) == code
        assert checked == [not code]


def test_over_http_others_mail_is_refused_before_anybody_asks_who_signed_it(
    knocked: Knocked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds it learns nothing of whom the door knows, and it is no word of its sender to us."""
    them = knocked.sender.organisation
    elsewhere = OrganisationId("foyer-fr")
    stranger = replace(knocked.sender, organisation=replace(them, id=OrganisationId("inconnu-fr")))
    for sender in (knocked.sender, stranger):
        with monkeypatch.context() as patch:
            patch.setattr(VerifyKey, "holds", None)
            for sealed in (sender.seal(to=elsewhere), altered(sender.seal(to=elsewhere))):
                with pytest.raises(Unreadable, match=r"^envelope-not-for-us$"):
                    knocked.door.read(Delivery(sealed.envelope, sealed.headers, HTTP))


def test_on_the_queue_others_mail_is_heard_as_evidence(knocked: Knocked) -> None:
    sealed = knocked.sender.seal(to=OrganisationId("foyer-fr"))
    heard = knocked.door.read(Delivery(sealed.envelope, sealed.headers, QUEUE))
    assert heard.what.recipient == "foyer-fr"


def altered(sealed: Sealed) -> Sealed:
    return replace(sealed, envelope=sealed.envelope[:-1] + bytes([sealed.envelope[-1] ^ 1]))
