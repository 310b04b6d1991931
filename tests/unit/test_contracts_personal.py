"""What is personal is never shown: not by repr, not by str, not by an error, not by what holds it."""

import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.contracts import codes, event, event_data, exchange, packet, packet_codes, receipt, report
from shared.contracts.personal import Country, Email, Language, Personal, Telephone, Text, Word
from shared.contracts.problem import field_problems
from tests.support.referrals import CANARY, DATA
from tests.support.referrals import packet as full_packet

MODULES = (codes, event, event_data, exchange, packet, packet_codes, receipt, report)


def models() -> Iterator[type[BaseModel]]:
    """Yield every model of the contracts that cross a wall sealed."""
    for module in MODULES:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BaseModel):
                yield value


def inside(value: Any) -> Iterator[Any]:  # noqa: ANN401 - whatever a model holds
    """Yield every model in ``value``, itself included."""
    if isinstance(value, BaseModel):
        yield value
        for _, part in value:
            yield from inside(part)
    elif isinstance(value, list | tuple | frozenset):
        for part in value:
            yield from inside(part)


def test_every_model_is_personal_and_none_has_a_dictionary() -> None:
    """The keys of a dictionary would be input that turns up in the place of an error."""
    for model in models():
        assert issubclass(model, Personal)
        assert model.model_config["frozen"]
        assert model.model_config["extra"] == "forbid"
        assert not [name for name, field in model.model_fields.items() if "dict[" in str(field.annotation)]


@pytest.mark.parametrize("value", [full_packet(), *DATA], ids=lambda value: type(value).__name__)
def test_a_model_shows_its_class_name_alone(value: Personal) -> None:
    for part in inside(value):
        for shown in (repr(part), str(part), f"{part}", repr([part]), str({"held": part})):
            assert CANARY not in shown
        assert repr(part) == str(part) == type(part).__name__


@pytest.mark.parametrize("model", sorted(set(models()), key=str), ids=str)
def test_an_error_shows_nothing_of_what_was_refused(model: type[BaseModel]) -> None:
    wrong = {name: {CANARY: CANARY} for name in model.model_fields} | {CANARY: CANARY}
    with pytest.raises(ValidationError) as caught:
        model.model_validate(wrong)
    problems = field_problems(caught.value.errors())
    assert problems
    for shown in map(repr, problems):
        assert CANARY not in shown


def test_a_refused_value_is_not_in_the_text_of_the_error() -> None:
    with pytest.raises(ValidationError) as caught:
        packet.Identity.model_validate({"given_names": [CANARY], "born": CANARY})
    text = str(caught.value) + repr(caught.value) + "".join(traceback.format_exception(caught.value))
    assert CANARY not in text


@pytest.mark.parametrize(
    ("kind", "fine", "wrong"),
    [
        (Country, ["FR", "LB", "XK"], ["fr", "FRA", "XX", ""]),
        (Language, ["fra", "tgl", "amh"], ["fr", "FRA", "f1a", ""]),
        (Telephone, ["+33140649999", "+96170000000"], ["0140649999", "+0033", "+33 1 40", "+331", "+1234567890123456"]),
        (Email, ["écoute@exemple.fr", "a@b"], ["a", "a@", "a b@c", "a@b@c", "a" * 254 + "@b"]),
        (Word, ["عائشة", "Nguyễn Thị", "O’Brien", " a "], ["", "  ", "a\nb", "a\x00b", "a" * 201]),
        (Text, ["une ligne\net une autre", "ኢትዮጵያ\tአዲስ"], ["", "\n", "a\x00b", "a\x1bb", "a" * 4001]),
    ],
)
def test_a_kind_of_text_takes_what_people_write_and_no_more(kind: Any, fine: list[str], wrong: list[str]) -> None:  # noqa: ANN401
    adapter: TypeAdapter[str] = TypeAdapter(kind)
    for text in fine:
        assert adapter.validate_python(text) == text.strip()
    for text in wrong:
        with pytest.raises(ValidationError):
            adapter.validate_python(text)
