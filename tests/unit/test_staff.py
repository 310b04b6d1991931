"""The organisation's own people: nobody of them can be taken for somebody else in the audit log."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from services.intake.domain.taking import REPORTER
from services.referral.domain.cases import CLOCK
from shared.contracts.ids import StaffId
from shared.staff import STAFF_FILE, Role, StaffBook, StaffError, StaffMember, token_digest


def loaded(folder: Path, *ids: str, tokens: Sequence[str] | None = None) -> StaffBook:
    """Write members with these ids, and tokens or one each, and read them as a service does."""
    members = [
        StaffMember(id=StaffId(id_), roles=frozenset(Role), token_sha256=token_digest(token))
        for id_, token in zip(ids, tokens or [f"token {n}" for n in range(len(ids))], strict=True)
    ]
    StaffBook(members).save(folder / STAFF_FILE)
    return StaffBook.load(folder / STAFF_FILE)


@pytest.mark.parametrize("id_", [REPORTER, CLOCK, "abri-be", "ccem-fr", "maison-du-lac-ch"])
def test_nobody_is_called_like_another_actor(id_: str, tmp_path: Path) -> None:
    with pytest.raises(StaffError, match="staff-id-reserved"):
        loaded(tmp_path, "ana", id_)


@pytest.mark.parametrize("id_", ["ana", "ana.fr", "anne-marie", "clock.2", "reporter-one", "a1"])
def test_other_names_are_free(id_: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, id_).member(StaffId(id_)) is not None


def test_two_members_have_two_ids(tmp_path: Path) -> None:
    with pytest.raises(StaffError, match="staff-id-repeated"):
        loaded(tmp_path, "ana", "noor", "ana")


def test_two_members_have_two_tokens(tmp_path: Path) -> None:
    with pytest.raises(StaffError, match="staff-token-repeated"):
        loaded(tmp_path, "ana", "noor", tokens=["one", "one"])
