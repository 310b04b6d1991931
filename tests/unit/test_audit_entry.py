"""An entry's bytes are for ever, and a leaf says nothing of them."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit.cases import CaseEntries
from shared.audit.entry import EntryFault, EntryRefusedError, encode_entry
from shared.audit.log import SALT_BYTES, ClearCaseError, Commitment, append, prepare
from shared.contracts.codes import Step
from shared.contracts.entries import Entry, EntryCode
from shared.storage.vault import CaseCipher, VaultError

SUBJECT = UUID("8f14e45f-ceea-467f-ab1c-3d2f5a6b7c8d")
CASE = UUID("c9f0f895-fb98-4b91-a2b1-0a1b2c3d4e5f")
AT = datetime(2026, 11, 24, 9, 5, 0, tzinfo=UTC)
SALT = bytes(range(32))

words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=200)
lists = st.lists(st.from_regex(r"\A[a-z0-9._-]{1,40}\Z"), max_size=12).map(" ".join)
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
entries = st.builds(
    Entry,
    code=st.sampled_from(EntryCode),
    actor=words,
    subject=st.uuids(),
    at=st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=offsets),  # noqa: DTZ001
    detail=st.dictionaries(words, words | lists, max_size=4),
    case=st.none() | st.uuids(),
)


def entry(
    code: str = EntryCode.REFERRAL_ACCEPTED, actor: str = "abri-be", detail: Mapping[str, str] | None = None
) -> Entry:
    return Entry(cast("EntryCode", code), actor, SUBJECT, AT, detail or {}, CASE)


def test_the_bytes_of_an_entry_are_these_for_ever() -> None:
    given_entry = entry(detail={"kind": "transfer", "conversation": "c-1"})
    assert encode_entry(given_entry) == (
        b'{"actor":"abri-be","at":"2026-11-24T09:05:00.000000Z","case":"c9f0f895-fb98-4b91-a2b1-0a1b2c3d4e5f",'
        b'"code":"referral.accepted","detail":{"conversation":"c-1","kind":"transfer"},'
        b'"subject":"8f14e45f-ceea-467f-ab1c-3d2f5a6b7c8d","v":1}'
    )
    bare = Entry(EntryCode.REPORT_TAKEN, "clock", SUBJECT, AT.astimezone(timezone(timedelta(hours=2))))
    assert encode_entry(bare) == (
        b'{"actor":"clock","at":"2026-11-24T09:05:00.000000Z","code":"report.taken",'
        b'"subject":"8f14e45f-ceea-467f-ab1c-3d2f5a6b7c8d","v":1}'
    )


@given(entries)
def test_every_entry_is_read_back_whole_and_in_one_order(given_entry: Entry) -> None:
    encoded = encode_entry(given_entry)
    members = json.loads(encoded)
    assert datetime.fromisoformat(members["at"]) == given_entry.at
    assert (members["code"], members["actor"]) == (given_entry.code, given_entry.actor)
    assert (members.get("detail", {}), members["subject"]) == (dict(given_entry.detail), str(given_entry.subject))
    assert members.get("case") == (None if given_entry.case is None else str(given_entry.case))
    assert json.dumps(members, sort_keys=True, separators=(",", ":")).encode() == encoded


@pytest.mark.parametrize(
    "given_entry",
    [
        entry(code="referral.acepted"),
        entry(code="referral.accepted"),
        entry(actor=""),
        entry(actor="somebody with a name"),
        entry(actor="zoé"),
        entry(detail={"note": "She said that"}),
        entry(detail={"note": "she said that, twice"}),
        entry(detail={"note": "a  b"}),
        entry(detail={"note": " a"}),
        entry(detail={"note": "a "}),
        entry(detail={"note": "a\nb"}),
        entry(detail={"note": "zoé"}),
        entry(detail={"note": "x" * 201}),
        entry(detail={"note": f"{'x' * 65} y"}),
        entry(detail={"note": " ".join(["x" * 60] * 17)}),
        entry(detail={"a note": "code"}),
        entry(detail={"": "code"}),
        Entry(EntryCode.REFERRAL_ACCEPTED, "abri-be", SUBJECT, datetime(2026, 11, 24)),  # noqa: DTZ001
    ],
)
def test_prose_is_not_written_down(given_entry: Entry) -> None:
    with pytest.raises(EntryRefusedError) as refused:
        encode_entry(given_entry)
    assert refused.value.code is EntryFault.MALFORMED
    assert str(refused.value) == "entry-malformed"


def test_a_code_is_two_words_for_ever_and_every_step_has_one() -> None:
    assert [code for code in EntryCode if re.fullmatch(r"[a-z]+\.[a-z]+(-[a-z]+)*", code) is None] == []
    assert {EntryCode.of(step).value for step in Step} == {f"referral.{step}" for step in Step}


def test_a_leaf_commits_to_salt_and_entry_and_shows_neither() -> None:
    leaf = prepare(entry(), SALT)
    assert leaf.opening == SALT + encode_entry(entry())
    assert leaf.commitment == sha256(leaf.opening).digest()
    assert leaf.case == CASE
    assert "abri-be" not in repr(leaf)
    assert prepare(entry(), bytes(32)).commitment != leaf.commitment


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_salt_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="audit-salt-length"):
        prepare(entry(), bytes(length))
    assert SALT_BYTES == 32


async def test_an_entry_of_a_case_is_never_written_in_clear() -> None:
    class Untouched:
        """A connection that must not be used."""

    with pytest.raises(ClearCaseError):
        await append(Untouched(), [prepare(entry(), SALT)])  # type: ignore[arg-type]


def test_an_encrypted_entry_opens_for_its_case_and_its_leaf_alone() -> None:
    other_case, leaf = UUID(int=2), prepare(entry(), SALT)
    cipher = CaseEntries({CASE: CaseCipher(bytes(32)), other_case: CaseCipher(bytes(31) + b"\x01")})
    content = cipher.seal(CASE, leaf.commitment, leaf.opening)
    assert b"abri-be" not in content
    assert cipher.open(CASE, leaf.commitment, content) == leaf.opening
    assert CaseEntries({}).open(CASE, leaf.commitment, content) is None
    for case, commitment, changed in (
        (other_case, leaf.commitment, content),
        (CASE, Commitment(bytes(32)), content),
        (CASE, leaf.commitment, content[:-1] + bytes([content[-1] ^ 1])),
        (CASE, leaf.commitment, b""),
    ):
        with pytest.raises(VaultError):
            cipher.open(case, commitment, changed)
