"""What the store holds is read for ever: a document or a grant is as old as the case that it is in.

Each is kept as the release of its day wrote it, and is never written anew. ``kept`` holds an example of every form that
was ever kept: a model that does not read one of them shuts the cases in which it lies.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError, create_model

from services.referral.domain.grants import Grant
from services.referral.store.cases import read_grant, written
from services.referral.store.papers import MODELS
from shared.contracts.packet import Identity
from shared.contracts.personal import Word

FOLDER: Final = Path(__file__).parent / "kept"
FORMS: Final[Mapping[str, Any]] = {**MODELS, "grant": Grant}
FILES: Final = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.json"))}


READS: Final[Mapping[str, Callable[[str], object]]] = {
    **{name: model.model_validate_json for name, model in MODELS.items()},
    "grant": read_grant,
}
"""How the store reads each form."""


def wrong(files: Mapping[str, str], forms: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong, as whoever changed a model must read it."""
    said: dict[type, set[str]] = {}
    for file, text in files.items():
        adapter = TypeAdapter(forms[file.partition("-")[0]])
        try:
            read = adapter.validate_json(text)
        except ValidationError:
            yield f"{file} is not read any more, and cases hold the like: give what is new a default, keep what was"
            continue
        if lost := json.loads(text).keys() - json.loads(adapter.dump_json(read)).keys():
            yield f"{file} is read without {', '.join(sorted(lost))}, and cases hold it: keep what was"
        for form, name in members(read):
            said.setdefault(form, set()).add(name)
    for name in forms.keys() - {file.partition("-")[0] for file in files}:
        yield f"{name} has no file in kept/: add {name}-1.json, with an example in which every member is said"
    for form, names in said.items():
        if silent := names_of(form) - names:
            yield f"no file in kept/ says {', '.join(sorted(silent))} of {form.__name__}: add one, and change none"


def members(value: object) -> Iterator[tuple[type, str]]:
    """Yield each member of ``value`` that says something, at every depth, with the class that it is a member of."""
    if isinstance(value, tuple | frozenset):
        for each in value:
            yield from members(each)
    if isinstance(value, BaseModel) or is_dataclass(value):
        for name in names_of(type(value)):
            if (said := getattr(value, name)) not in (None, (), frozenset()):
                yield type(value), name
                yield from members(said)


def names_of(form: Any) -> set[str]:  # noqa: ANN401 - a class of either kind
    """Return the members of a model or of a dataclass."""
    return {field.name for field in fields(form)} if is_dataclass(form) else set(form.model_fields)


def test_whatever_was_ever_kept_is_read() -> None:
    found = list(wrong(FILES, FORMS))
    assert not found, "\n - ".join(["See CONTRIBUTING.md, A document that is kept.", *found])


def test_a_member_that_must_be_there_shuts_what_is_kept() -> None:
    more = create_model("Identity", __base__=Identity, village=(Word, ...))
    (found,) = wrong(FILES, {**FORMS, "identity": more})
    assert found.startswith("identity-1.json is not read any more")


def test_a_member_that_may_be_there_asks_for_a_file_that_has_it() -> None:
    more = create_model("Identity", __base__=Identity, village=(Word | None, None))
    assert list(wrong(FILES, {**FORMS, "identity": more})) == [
        "no file in kept/ says village of Identity: add one, and change none"
    ]


def test_a_member_that_goes_is_found() -> None:
    text = json.dumps({**json.loads(FILES["grant-1.json"]), "village": "Example"})
    assert list(wrong({**FILES, "grant-1.json": text}, FORMS)) == [
        "grant-1.json is read without village, and cases hold it: keep what was"
    ]


def test_a_grant_is_written_without_what_it_does_not_say() -> None:
    """So a release that adds a member may be stepped back from, as long as nobody has used it."""
    grant = replace(read_grant(FILES["grant-1.json"]), withdrawn_at=None)
    assert json.loads(written(grant)).keys() == names_of(Grant) - {"withdrawn_at"}
    assert read_grant(written(grant)) == grant


def with_one_more(value: Any) -> Iterator[Any]:  # noqa: ANN401 - JSON
    """Yield ``value`` as a newer version may write it: with one member that is new, here or at any depth."""
    match value:
        case dict():
            yield {**value, "of_tomorrow": "yes"}
            for name, said in value.items():
                yield from ({**value, name: each} for each in with_one_more(said))
        case list():
            for n, said in enumerate(value):
                yield from ([*value[:n], each, *value[n + 1 :]] for each in with_one_more(said))


@pytest.mark.parametrize("file", FILES)
def test_what_says_more_than_this_version_knows_counts_as_not_there(file: str) -> None:
    """What is new may narrow what the person allows, or forbid what the rest permits."""
    read = READS[file.partition("-")[0]]
    for more in with_one_more(json.loads(FILES[file])):
        with pytest.raises(ValueError, match="of_tomorrow"):
            read(json.dumps(more))


@pytest.mark.parametrize("file", ["grant-1.json", "report-1.json"])
def test_a_form_without_a_file_is_found(file: str) -> None:
    without = {name: text for name, text in FILES.items() if name != file}
    assert any(f"add {file}" in found for found in wrong(without, FORMS))
