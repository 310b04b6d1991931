"""The organisation's own people: nobody of them can be taken for somebody else in the audit log."""

import json
import traceback
from collections.abc import Sequence
from pathlib import Path

import pytest

from services.intake.domain.taking import REPORTER
from services.referral.domain.cases import CLOCK
from shared.contracts.ids import StaffId
from shared.staff import STAFF_FILE, Role, StaffBook, StaffError, StaffMember, token_digest
from shared.web.process import reason


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


CANARY = "Canary <ana@example.org>"


@pytest.mark.parametrize(
    "email",
    [
        CANARY,
        "ana@example.org\nBcc: eve@example.org",
        "ana@example.org\n",
        "pas d'adresse",
        "ana@example.org, eve@example.org",
        "aïcha@a.org",
        f"{'a' * 65}@example.org",
        f"ana@{'a.' * 125}org",
        "@",
        "",
    ],
)
def test_what_no_mail_can_be_sent_to_is_found_at_the_start(email: str, tmp_path: Path) -> None:
    assert refused_as_malformed(tmp_path, email=email) == "staff-malformed: ana: email"


@pytest.mark.parametrize("zone", [CANARY, "Europe", "Europe/Pari", "../etc/passwd", "a\0b", ""])
def test_what_is_no_time_zone_is_found_at_the_start(zone: str, tmp_path: Path) -> None:
    assert refused_as_malformed(tmp_path, time_zone=zone) == "staff-malformed: ana: time_zone"


def test_a_member_whose_id_cannot_be_said_is_named_by_their_place(tmp_path: Path) -> None:
    assert refused_as_malformed(tmp_path, id=CANARY, email="") == "staff-malformed: member 2: id"
    assert refused_as_malformed(tmp_path, id=None) == "staff-malformed: member 2: id"


@pytest.mark.parametrize("text", ["", "{", "{}", '["Canary"]', '"Canary"', "null", "[[]]"])
def test_what_is_no_list_of_members_is_malformed(text: str, tmp_path: Path) -> None:
    (tmp_path / STAFF_FILE).write_text(text)
    with pytest.raises(StaffError, match=r"^staff-malformed") as caught:
        StaffBook.load(tmp_path / STAFF_FILE)
    assert "Canary" not in str(caught.value)


def test_a_field_that_there_is_not_is_not_repeated(tmp_path: Path) -> None:
    assert refused_as_malformed(tmp_path, **{CANARY: 1}) == "staff-malformed: ana: unknown-field"


def refused_as_malformed(folder: Path, **changes: object) -> str:
    """Spoil the second of two members, and return how that is refused."""
    loaded(folder, "noor", "ana")
    members = json.loads((folder / STAFF_FILE).read_bytes())
    members[1] |= changes
    (folder / STAFF_FILE).write_text(json.dumps(members))
    with pytest.raises(StaffError) as caught:
        StaffBook.load(folder / STAFF_FILE)
    error = caught.value
    assert CANARY not in "".join(traceback.format_exception(error))
    assert reason("notify", error).startswith("staff-malformed: notify: staff.json in RELAIS_FOLDER ")
    assert reason("notify", error).endswith(f" ({error.where})")
    return str(error)
