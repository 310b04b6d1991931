"""The demo's search for personal words in notifications finds them when they are there."""

import json
from email.message import EmailMessage
from pathlib import Path

import pytest

from deploy.local.telltale import NothingToFindError, found_in, readable, telltales

FILES = sorted((Path(__file__).parents[2] / "examples" / "referrals").glob("*.json"))
NEUTRAL = "Quelque chose vous attend : R-1EE8-195A, urgent. http://127.0.0.1:20763/referrals/1"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_person_of_the_examples_has_a_name_that_would_be_found(path: Path) -> None:
    file = json.loads(path.read_text(encoding="utf-8"))
    searched = telltales(file)
    name = file["disclosure"]["packet"]["identity"]["given_names"]
    assert found_in(NEUTRAL, searched) == 0
    assert any(text in name for text in searched)
    assert found_in(f"{NEUTRAL} {name} {file['disclosure']['packet']['identity']}", searched) > 0


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "8bit"])
def test_a_name_in_a_mail_is_found_however_it_is_encoded(encoding: str) -> None:
    mail = EmailMessage()
    mail["Subject"] = "ليلى"
    mail.set_content("Bonjour Hélène", cte=encoding)
    assert found_in(readable(bytes(mail)), {"ليلى", "Hélène", "Nobody"}) == 2


def test_a_search_for_nothing_is_no_search() -> None:
    with pytest.raises(NothingToFindError):
        telltales({"offer": {"kind": "transfer"}, "disclose": {"packet": {"identity": {"given_names": "Hélène"}}}})
