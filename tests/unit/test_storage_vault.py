"""Encryption at rest: a case's key opens its own documents, under their own labels, and nothing else."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.storage.vault import KEY_BYTES, Vault, VaultError, WrappedKey

KEYS = {1: b"\1" * KEY_BYTES, 2: b"\2" * KEY_BYTES}


@given(st.binary(max_size=2000), st.binary(max_size=64), st.uuids())
def test_what_is_sealed_for_a_case_opens_for_it(plaintext: bytes, label: bytes, case: UUID) -> None:
    vault = Vault(KEYS)
    cipher, wrapped = vault.new_case(case)
    assert wrapped.epoch == 2
    sealed = cipher.seal(plaintext, label)
    assert Vault(KEYS).case(case, wrapped).open(sealed, label) == plaintext
    assert plaintext not in sealed or len(plaintext) < 4


def test_two_sealings_of_the_same_are_never_the_same() -> None:
    cipher, _ = Vault(KEYS).new_case(uuid4())
    assert len({cipher.seal(b"the same", b"label") for _ in range(100)}) == 100


@given(st.integers(min_value=0, max_value=200), st.integers(min_value=0, max_value=7))
def test_a_changed_bit_is_found(place: int, bit: int) -> None:
    cipher, _ = Vault(KEYS).new_case(uuid4())
    sealed = bytearray(cipher.seal(b"a document", b"label"))
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(VaultError, match="vault-altered"):
        cipher.open(bytes(sealed), b"label")


@pytest.mark.parametrize("sealed", [b"", b"short", b"\0" * 12])
def test_rubbish_is_refused(sealed: bytes) -> None:
    cipher, _ = Vault(KEYS).new_case(uuid4())
    with pytest.raises(VaultError, match="vault-altered"):
        cipher.open(sealed, b"label")


def test_another_label_or_another_case_opens_nothing() -> None:
    vault = Vault(KEYS)
    one, other = uuid4(), uuid4()
    cipher, wrapped = vault.new_case(one)
    with pytest.raises(VaultError, match="vault-altered"):
        cipher.open(cipher.seal(b"health", b"summary"), b"health")
    with pytest.raises(VaultError, match="vault-altered"):
        vault.case(other, wrapped)
    with pytest.raises(VaultError, match="vault-altered"):
        vault.new_case(other)[0].open(cipher.seal(b"health", b"label"), b"label")


def test_a_destroyed_storage_key_takes_its_cases_with_it() -> None:
    case = uuid4()
    _, wrapped = Vault({1: KEYS[1]}).new_case(case)
    Vault(KEYS).case(case, wrapped)
    with pytest.raises(VaultError, match="vault-unknown-epoch"):
        Vault({2: KEYS[2]}).case(case, wrapped)
    with pytest.raises(VaultError, match="vault-altered"):
        Vault({1: KEYS[2]}).case(case, WrappedKey(1, wrapped.wrapped))
