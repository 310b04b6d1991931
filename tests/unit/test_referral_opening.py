"""When a key speaks: for what it sealed while it held, as far as a rounded time can tell, and for nothing else."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.referral.opening import Opener, Spoken
from shared.contracts.exchange import ReferralOffered
from shared.contracts.ids import OrganisationId
from shared.messaging.delivery import Delivery, Later, Unreadable
from shared.messaging.desk import whole
from shared.messaging.places import VERDICT, VERIFIED
from shared.sealing.keyring import Holder
from shared.sealing.keys import InboxKey, KeyPurpose
from shared.sealing.suites import KeyKind
from tests.support.desk import an_offer
from tests.support.partners import Organisation, Sealed, Sender

NEW = timedelta()
"""The age of the sender's keys: they are made with the test."""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Organisation, Organisation]:
    folder = tmp_path_factory.mktemp("organisations")
    us, partner = (Organisation.make(folder, OrganisationId(name)) for name in ("abri-be", "ccem-fr"))
    us.agree_with(partner)
    return us, partner


@pytest.fixture
def opener(both: tuple[Organisation, Organisation]) -> Opener:
    us, _ = both
    return Opener(us.id, us.directory, us.keyring(Holder.REFERRAL))


def sealed(both: tuple[Organisation, Organisation], offer: ReferralOffered, age: timedelta) -> Sealed:
    body = offer.model_dump_json(exclude_none=True).encode()
    return Sender.of(both[1], both[0]).seal(body, at=datetime.now(UTC) - age)


def delivery(message: Sealed, **headers: str) -> Delivery:
    return Delivery(message.envelope, {VERDICT: VERIFIED, **headers}, "referral.in")


def test_a_key_speaks_from_the_step_on_in_which_it_began(
    both: tuple[Organisation, Organisation], opener: Opener
) -> None:
    offer = an_offer()
    (began,) = {
        key.valid_from for key in both[1].directory.book.document(both[1].id).keys if key.purpose is KeyPurpose.SIGNING
    }
    message = sealed(both, offer, datetime.now(UTC) - began + timedelta(seconds=1))
    heard = whole(opener.reading(delivery(message)))
    assert (heard.key, heard.what, heard.origin) == (offer.referral, Spoken(offer, both[1].id), both[1].id)
    assert heard.attributes == {
        "message_id": message.id,
        "referral_id": offer.referral,
        "conversation_id": offer.conversation,
    }


@pytest.mark.parametrize("age", [timedelta(hours=1), timedelta(days=-200)], ids=["before it began", "after it ended"])
def test_a_key_does_not_speak_for_other_times(
    both: tuple[Organisation, Organisation], opener: Opener, age: timedelta
) -> None:
    with pytest.raises(Unreadable, match="key-expired") as refused:
        whole(opener.reading(delivery(sealed(both, an_offer(), age))))
    assert refused.value.origin == both[1].id, "it takes no room but its owner's"


def test_nobody_is_held_to_what_they_have_not_signed(both: tuple[Organisation, Organisation], opener: Opener) -> None:
    message = sealed(both, an_offer(), NEW)
    altered = replace(message, envelope=message.envelope[:-8] + bytes(8))
    with pytest.raises(Unreadable, match="envelope-altered") as refused:
        whole(opener.reading(delivery(altered)))
    assert refused.value.origin == ""


def test_what_is_not_vouched_for_is_not_opened(both: tuple[Organisation, Organisation], opener: Opener) -> None:
    with pytest.raises(Unreadable, match="verdict-missing"):
        whole(opener.reading(delivery(sealed(both, an_offer(), NEW), **{VERDICT: "perhaps"})))


def test_what_is_sealed_to_a_key_that_we_have_published_and_lack_is_waited_for(
    both: tuple[Organisation, Organisation],
) -> None:
    us, _ = both
    keyring = us.keyring(Holder.REFERRAL)
    without = replace(keyring, keys=tuple(held for held in keyring.keys if held.purpose is not KeyPurpose.INBOX))
    with pytest.raises(Later, match="keyring-key-missing") as waits:
        whole(Opener(us.id, us.directory, without).reading(delivery(sealed(both, an_offer(), NEW))))
    assert waits.value.ours, "however long that takes"


def test_what_is_sealed_to_a_key_that_was_never_ours_is_parked(
    both: tuple[Organisation, Organisation], opener: Opener
) -> None:
    us, partner = both
    message = Sender.of(partner, us).seal(inbox=InboxKey.generate(KeyKind.X_WING).public)
    with pytest.raises(Unreadable, match="envelope-unknown-key") as refused:
        whole(opener.reading(delivery(message)))
    assert refused.value.origin == partner.id


def test_a_sender_that_only_the_door_knows_yet_is_waited_for(
    both: tuple[Organisation, Organisation], tmp_path: Path
) -> None:
    us = Organisation.make(tmp_path, both[0].id)
    with pytest.raises(Later, match="organisation-unknown"):
        whole(Opener(us.id, us.directory, us.keyring(Holder.REFERRAL)).reading(delivery(sealed(both, an_offer(), NEW))))
