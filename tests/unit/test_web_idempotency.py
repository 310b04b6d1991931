"""A repeated request is known again, and what is kept of it lets nobody try out guesses at what it said."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from shared.web.idempotency import fingerprint, request_id

keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8, max_size=40)


@given(keys, st.binary(max_size=200), st.binary(max_size=200))
def test_the_same_is_known_and_another_is_told_apart(key: str, said: bytes, other: bytes) -> None:
    assert (fingerprint(key, said) == fingerprint(key, other)) is (said == other)


@given(keys, keys, st.binary(max_size=200))
def test_without_the_callers_word_nothing_can_be_guessed(key: str, other: str, said: bytes) -> None:
    assert fingerprint(key, said) != sha256(said).digest()
    assert (fingerprint(key, said) == fingerprint(other, said)) is (key == other)


@given(keys, keys)
def test_one_callers_word_is_not_anothers(key: str, other: str) -> None:
    assert request_id("command", "ana", key) == request_id("command", "ana", key)
    assert request_id("command", "ana", key) != request_id("command", "ben", key)
    assert (request_id("report", key) == request_id("report", other)) is (key == other)
