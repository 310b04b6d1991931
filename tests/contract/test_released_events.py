"""What a type of an event may hold is frozen: whoever changes it is told to make another type.

A partner that runs the release before, or has a system of its own, reads an event by the schema that it knows, and sets
aside what that schema does not have. So each type has a digest here, of what its schema takes and refuses. What is
said about it in words may be said better, and a class may have another name.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

import pytest

from shared.contracts.schemas import documents

HERE: Final = "tests/contract/test_released_events.py"
WORDS: Final = ("title", "description")

RELEASED: Final[Mapping[str, str]] = {
    "receipt.given.v1": "9b54fbda954eb1a354d58192ac34b3b007ba9c6ca5281248fc873ac7d2617619",
    "referral.accepted.v1": "95a98da6f8729ad687e7f1c9660e3a0ffe424c00df6da56c29502159b85b2c3d",
    "referral.answered.v1": "ab8f4a76eba3e8aa31ef7d459a003d36f620ed02178b96d1c9d9248fc807e851",
    "referral.arrived.v1": "2327493054979ef8cacd3455ea22bb52cf5b459d03e0f58cfb5372992435c0cb",
    "referral.asked.v1": "0836d24919af411f62cee6daea15a07baf4d9954c18876ad0616cd250a6e6631",
    "referral.closed.v1": "9b4e2dccea1f90496e7bb844d654f5c09fe41f4fbf9e77aaadcdcae2ffa73cec",
    "referral.consent-withdrawn.v1": "06839a9f5f1a27b2d9f01dd7d8addab258862383becbea01be2db0e93d59d51a",
    "referral.declined.v1": "df788240b4f9e29d86acd65d29ddaa153ee5c64d7e5f34fd89a64d22e89d61fe",
    "referral.disclosed.v1": "06e5f06085f29d28fc74ee0d599733f8e0131f2157e790cf348b8136c84310e9",
    "referral.missed.v1": "bbed22736335ba91a02ef6dc00d539488f339308850c49c6f58a89e22a146c98",
    "referral.offered.v1": "a5622e8021a013b74348007d6f1c2c0cc7325be7ef15c17772043f9d4d45bb82",
    "referral.opened.v1": "24cf3c7d3222c40e3817a8a4db2a0cd466712f7fa628b8af089ca67d33f0b673",
    "referral.progressed.v1": "bece2a5378ba869a6ffbe0104d4f19ff5754d9aef69bfc8033ada1f0cfcab339",
    "referral.redirected.v1": "c75affede0615f10b73bc6ad1e559a5ef22558c16742a97d2dec678af9f67f68",
    "referral.rescheduled.v1": "ff0dbbfa778a3fc4f4e6466ce97e6324213052e21ff0ea076fa1a87f21402e38",
    "referral.withdrawn.v1": "302070fe5adb4d80d40eaef46f8a6f1b80f13e04293a280342ddb275c24adadd",
}
"""The digest of each type. A line is added; it is changed only while no release has heard the type."""


def meaning(node: Any, defs: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any part of a schema
    """Return what a part of a schema takes and refuses: without words and names of classes, in an order of its own."""
    if isinstance(node, list):
        return sorted((meaning(part, defs) for part in node), key=canonical)
    if not isinstance(node, dict):
        return node
    named = {key: meaning(part, defs) for key, part in node.items() if key not in ("$defs", "$ref")}
    found = {key: part for key, part in named.items() if key not in WORDS or not isinstance(part, str)}
    return {**meaning(defs[node["$ref"].rpartition("/")[2]], defs), **found} if "$ref" in node else found


def canonical(meant: object) -> str:
    """Return one text for all that mean the same."""
    return json.dumps(meant, sort_keys=True)


def digest(text: str) -> str:
    """Return the digest of what a schema takes and refuses."""
    schema = json.loads(text)
    return sha256(canonical(meaning(schema, schema.get("$defs", {}))).encode()).hexdigest()


def wrong(texts: Mapping[str, str], released: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with a type, as whoever changed it must read it."""
    now = {name.removesuffix(".json"): digest(text) for name, text in texts.items()}
    for name in sorted(now.keys() | released.keys()):
        if name not in now:
            yield f"{name} is gone, and partners still say it"
        elif name not in released:
            yield f'{name} has no line in RELEASED, {HERE}: "{name}": "{now[name]}",'
        elif now[name] != released[name]:
            yield f"{name} has changed, and partners know it as it was: what is new is a type of its own"


def test_no_type_says_anything_else_than_when_it_was_released() -> None:
    found = list(wrong(documents(), RELEASED))
    assert not found, "\n - ".join(["See CONTRIBUTING.md, An event between organisations.", *found])


CLOSED = "referral.closed.v1.json"
NOW = {name.removesuffix(".json"): digest(text) for name, text in documents().items()}


def a_code_more(schema: dict[str, Any]) -> None:
    schema["$defs"]["Outcome"]["enum"].append("moved_on")


def a_member_more(schema: dict[str, Any]) -> None:
    schema["$defs"]["ClosedData"]["properties"]["description"] = {"type": "string"}


def a_longer_text(schema: dict[str, Any]) -> None:
    schema["$defs"]["ClosedData"]["properties"]["note"]["anyOf"][0]["maxLength"] += 1


def no_need_of_a_member(schema: dict[str, Any]) -> None:
    schema["$defs"]["ClosedData"]["required"].remove("outcome")


@pytest.mark.parametrize("change", [a_code_more, a_member_more, a_longer_text, no_need_of_a_member])
def test_whatever_a_reader_of_the_release_before_would_not_take_is_found(
    change: Callable[[dict[str, Any]], None],
) -> None:
    schema = json.loads(documents()[CLOSED])
    change(schema)
    (found,) = wrong({**documents(), CLOSED: json.dumps(schema)}, NOW)
    assert found.startswith("referral.closed.v1 has changed")


def test_a_type_that_goes_or_comes_is_found() -> None:
    texts = {name: text for name, text in documents().items() if name != CLOSED}
    gone, unknown = wrong({**texts, "referral.closed.v2.json": "{}"}, NOW)
    assert gone == "referral.closed.v1 is gone, and partners still say it"
    assert unknown.startswith("referral.closed.v2 has no line in RELEASED")


def test_words_and_names_of_classes_may_be_better() -> None:
    text = documents()[CLOSED]
    schema = json.loads(text.replace("Outcome", "Ending"))
    schema["description"] = schema["$defs"]["ClosedData"]["description"] = "Said better."
    schema["$defs"]["Ending"]["enum"].reverse()
    assert list(wrong({**documents(), CLOSED: json.dumps(schema)}, NOW)) == []
