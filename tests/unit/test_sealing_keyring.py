"""A keyring opens with its passphrase alone, is readable by its owner alone, and says which of the two is wrong."""

import os
import stat
import time
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.contracts.ids import KeyId, OrganisationId
from shared.sealing.book import Book
from shared.sealing.codes import EnvelopeCode, EnvelopeError, KeyringCode, KeyringError
from shared.sealing.fields import encode_base64
from shared.sealing.key_document import KeyDocument, publish
from shared.sealing.keyring import (
    MAX_FILE_BYTES,
    RECOMMENDED_COST,
    Cost,
    HeldKey,
    Holder,
    Keyring,
    keyring_path,
    read_keyring,
    write_keyring,
)
from shared.sealing.keys import InboxKey, KeyPurpose, SigningKey, StorageKey
from shared.sealing.suites import KeyKind, Suite
from shared.sealing.timestamp import encode_time

AT = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
CHEAP = Cost(memory_kib=8, iterations=1, lanes=1)
PASSPHRASE = "une phrase que personne ne devine"
WEEK = timedelta(days=7)

SIGNING = SigningKey.from_secret(bytes(range(32)))
NEWER = SigningKey.from_secret(bytes(range(1, 33)))
INBOX = InboxKey.from_secret(KeyKind.X_WING, bytes(range(2, 34)))
OLD_INBOX = InboxKey.from_secret(KeyKind.X25519, bytes(range(3, 35)))
RING = Keyring(
    OrganisationId("ccem-fr"),
    Holder.REFERRAL,
    (
        HeldKey(KeyPurpose.SIGNING, SIGNING, AT, AT + 2 * WEEK),
        HeldKey(KeyPurpose.SIGNING, NEWER, AT + WEEK, AT + 3 * WEEK),
        HeldKey(KeyPurpose.INBOX, INBOX, AT, AT + WEEK),
        HeldKey(KeyPurpose.INBOX, OLD_INBOX, AT - WEEK, AT),
    ),
    (StorageKey(1, bytes(32)), StorageKey(2, bytes(range(32)))),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_keyring(tmp_path, RING, PASSPHRASE, CHEAP)
    return tmp_path


def refusal(folder: Path, passphrase: str = PASSPHRASE, holder: Holder = Holder.REFERRAL) -> KeyringCode:
    with pytest.raises(KeyringError) as caught:
        read_keyring(folder, holder, passphrase)
    assert isinstance(caught.value.code, KeyringCode)
    assert caught.value.__cause__ is None
    return caught.value.code


def rewrite(folder: Path, content: bytes) -> None:
    keyring_path(folder, Holder.REFERRAL).write_bytes(content)


def with_digest(head: str) -> bytes:
    return f"{head}sha256 {encode_base64(sha256(head.encode()).digest())}\n".encode()


def test_it_opens_to_the_same_keys(folder: Path) -> None:
    assert read_keyring(folder, Holder.REFERRAL, PASSPHRASE) == RING


def test_the_same_passphrase_typed_on_another_keyboard_opens_it(tmp_path: Path) -> None:
    write_keyring(tmp_path, RING, "clé de l'été", CHEAP)
    assert read_keyring(tmp_path, Holder.REFERRAL, "cle\u0301 de l'e\u0301te\u0301") == RING


@pytest.mark.parametrize("wrong", ["", PASSPHRASE + " ", PASSPHRASE.upper(), "x"])
def test_a_wrong_passphrase_is_called_wrong(folder: Path, wrong: str) -> None:
    assert refusal(folder, wrong) is KeyringCode.WRONG_PASSPHRASE


def test_every_flipped_byte_is_called_damage(folder: Path) -> None:
    content = keyring_path(folder, Holder.REFERRAL).read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        rewrite(folder, bytes(flipped))
        assert refusal(folder) is KeyringCode.DAMAGED


def test_every_truncation_is_called_damage(folder: Path) -> None:
    content = keyring_path(folder, Holder.REFERRAL).read_bytes()
    for length in range(len(content)):
        rewrite(folder, content[:length])
        assert refusal(folder) is KeyringCode.DAMAGED
    for longer in (content + b"\n", content * 2, content + bytes(MAX_FILE_BYTES)):
        rewrite(folder, longer)
        assert refusal(folder) is KeyringCode.DAMAGED


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_noise_is_called_damage(folder: Path, noise: bytes) -> None:
    for content in (noise, b"org.relais.keyring.v1\n" + noise):
        rewrite(folder, content)
        assert refusal(folder) is KeyringCode.DAMAGED


@pytest.mark.parametrize(
    "cost",
    ["262145 1 1", "8 17 1", "136 1 17", "8 1 2", "999999999 999 999", "0 1 1", "8 0 1", "8 1 0", "-8 1 1", "7 1 1"],
)
def test_a_cost_that_nobody_should_pay_is_refused_before_it_is_paid(folder: Path, cost: str) -> None:
    first, second, third, _ = keyring_path(folder, Holder.REFERRAL).read_text().splitlines(keepends=True)
    salt = second.rsplit(" ", 1)[1]
    began = time.monotonic()
    rewrite(folder, with_digest(f"{first}argon2id {cost} {salt}{third}"))
    assert refusal(folder) is KeyringCode.DAMAGED
    assert time.monotonic() - began < 1


def test_a_changed_cost_with_a_mended_digest_does_not_open(folder: Path) -> None:
    content = keyring_path(folder, Holder.REFERRAL).read_text()
    head = content[: content.index("sha256")].replace("argon2id 8 1 1", "argon2id 16 1 1")
    rewrite(folder, with_digest(head))
    assert refusal(folder) is KeyringCode.WRONG_PASSPHRASE


def test_another_holder_s_keyring_in_its_place_is_damage(folder: Path) -> None:
    keyring_path(folder, Holder.REFERRAL).rename(keyring_path(folder, Holder.NOTIFY))
    assert refusal(folder, holder=Holder.NOTIFY) is KeyringCode.DAMAGED
    assert refusal(folder) is KeyringCode.MISSING


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_keyring_that_others_may_touch_is_refused(folder: Path, mode: int) -> None:
    path = keyring_path(folder, Holder.REFERRAL)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(mode)
    assert refusal(folder) is KeyringCode.EXPOSED


def test_a_folder_in_its_place_is_unreadable(tmp_path: Path) -> None:
    keyring_path(tmp_path, Holder.REFERRAL).mkdir()
    assert refusal(tmp_path) is KeyringCode.UNREADABLE


def test_it_is_never_readable_by_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_keyring(tmp_path, RING, PASSPHRASE, CHEAP)
    finally:
        os.umask(before)
    assert stat.S_IMODE(keyring_path(tmp_path, Holder.REFERRAL).stat().st_mode) == 0o600


def test_a_write_that_fails_changes_nothing_and_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    before = keyring_path(folder, Holder.REFERRAL).read_bytes()
    with pytest.raises(OSError, match="No space left"):
        write_keyring(folder, RING, PASSPHRASE, CHEAP)
    assert keyring_path(folder, Holder.REFERRAL).read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["referral.keys"]


def test_a_passphrase_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs a passphrase"):
        write_keyring(tmp_path, RING, "", CHEAP)


def test_nothing_in_the_clear_stands_in_the_file(folder: Path) -> None:
    content = keyring_path(folder, Holder.REFERRAL).read_text()
    for secret in (SIGNING.secret, INBOX.secret, bytes(range(32))):
        assert encode_base64(secret) not in content
    assert "ccem-fr" not in content
    assert encode_time(AT) not in content


def test_two_writes_have_neither_salt_nor_nonce_in_common(folder: Path) -> None:
    first = keyring_path(folder, Holder.REFERRAL).read_text().split()
    write_keyring(folder, RING, PASSPHRASE, CHEAP)
    second = keyring_path(folder, Holder.REFERRAL).read_text().split()
    assert [one == other for one, other in zip(first, second, strict=True)] == [True] * 5 + [
        False,
        True,
        False,
        False,
        True,
        False,
    ]


def test_the_newest_key_that_holds_signs() -> None:
    assert RING.signing_key(KeyPurpose.SIGNING, AT) is SIGNING
    assert RING.signing_key(KeyPurpose.SIGNING, AT + WEEK) is NEWER
    assert RING.signing_key(KeyPurpose.SIGNING, AT + 3 * WEEK - timedelta(seconds=1)) is NEWER
    for purpose, at in ((KeyPurpose.SIGNING, AT + 3 * WEEK), (KeyPurpose.RECEIPT, AT), (KeyPurpose.INBOX, AT)):
        with pytest.raises(KeyringError, match=r"^keyring-key-missing$"):
            RING.signing_key(purpose, at)


def test_an_inbox_key_opens_until_it_is_destroyed() -> None:
    unknown = KeyId("0" * 32)
    assert RING.inbox_key([unknown, OLD_INBOX.id, INBOX.id], Suite.X25519) is OLD_INBOX
    with pytest.raises(EnvelopeError) as caught:
        RING.inbox_key([unknown], Suite.X25519)
    assert caught.value.code is EnvelopeCode.UNKNOWN_KEY


@given(
    st.lists(st.sampled_from([INBOX.id, OLD_INBOX.id, SIGNING.id, KeyId("0" * 32)]), unique=True),
    st.sampled_from(Suite),
)
def test_the_keyring_opens_what_the_door_says_that_it_opens(ids: list[KeyId], suite: Suite) -> None:
    keys = tuple(publish(held.key.public, held.purpose, held.valid_from, held.valid_until) for held in RING.keys)
    document = KeyDocument(organisation=RING.organisation, serial=1, issued=AT, hears=(), keys=keys)
    book = Book(RING.organisation, {RING.organisation: document}, {}, {})
    if book.opens_until(RING.organisation, ids, suite) is None:
        with pytest.raises(EnvelopeError, match=r"^envelope-unknown-key$"):
            RING.inbox_key(ids, suite)
    else:
        assert RING.inbox_key(ids, suite).public.suite is suite


def test_storage_keys_come_by_epoch() -> None:
    assert RING.storage_keys() == {1: bytes(32), 2: bytes(range(32))}


def test_the_recommended_cost_is_what_rfc_9106_recommends_where_memory_is_short() -> None:
    assert Cost(memory_kib=2**16, iterations=3, lanes=4) == RECOMMENDED_COST


def test_secrets_do_not_show() -> None:
    shown = repr(RING)
    for secret in (SIGNING.secret, INBOX.secret, bytes(range(32))):
        assert repr(secret)[2:-1] not in shown


def test_a_keyring_says_when_it_can_sign_and_when_its_keys_run_out() -> None:
    assert RING.ends() == {KeyPurpose.SIGNING: AT + 3 * WEEK, KeyPurpose.INBOX: AT + WEEK}
    moments = (AT - timedelta(seconds=1), AT, AT + 2 * WEEK, AT + 3 * WEEK)
    assert [RING.holds(KeyPurpose.SIGNING, at) for at in moments] == [False, True, True, False]
    assert [RING.can_sign(at) for at in moments] == [False, True, True, False]
    assert not RING.holds(KeyPurpose.RECEIPT, AT)
