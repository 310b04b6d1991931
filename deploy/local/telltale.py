"""Whether anything about a person has got into what staff are told: a search that must be able to find something.

What is searched for is taken from the person's own file: every text that is no code, and each word of their names. What
is searched through is decoded first, because a mail hides a name in base64 or quoted-printable without meaning to.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from email import message_from_bytes
from email.policy import default
from html import unescape
from typing import Any, Final

SHORTEST: Final = 4
SHORTEST_NAME: Final = 2
"""Shorter texts stand in ordinary sentences too often to say anything."""

_CODE: Final = re.compile(r"[a-z0-9_.:-]+|[A-Z]{1,3}|[0-9TZ:.-]+")
"""A word of the protocol, a country, a sector, a date: not what anybody wrote about a person."""


class NothingToFindError(Exception):
    """A person's file holds nothing that could be found: the search would prove nothing."""


def telltales(file: Mapping[str, Any]) -> frozenset[str]:
    """Return the texts of a referral file whose appearance anywhere would tell something about the person.

    Raises:
        NothingToFindError: there are none.
    """
    disclosed = file.get("disclosure", {})
    whole = {text for part in (file.get("offer", {}), disclosed) for text in _texts(part) if not _CODE.fullmatch(text)}
    identity = disclosed.get("packet", disclosed).get("identity", {})
    names = {word for text in _texts(identity) if not _CODE.fullmatch(text) for word in text.split()}
    found = frozenset(
        {text for text in whole if len(text) >= SHORTEST} | {name for name in names if len(name) >= SHORTEST_NAME}
    )
    if not found:
        raise NothingToFindError
    return found


def readable(mail: bytes) -> str:
    """Return all that a mail says, headers included, as a reader sees it."""
    message = message_from_bytes(mail, policy=default)
    said = [f"{name}: {value}" for name, value in message.items()]
    said += [str(part.get_content()) for part in message.walk() if part.get_content_maintype() == "text"]
    return unescape("\n".join(said))


def found_in(told: str, searched: Iterable[str]) -> int:
    """Count which of the ``searched`` texts stand in ``told``, as words of their own."""
    return sum(re.search(rf"(?<!\w){re.escape(text)}(?!\w)", told) is not None for text in set(searched))


def _texts(part: object) -> Iterator[str]:
    match part:
        case dict():
            for value in part.values():
                yield from _texts(value)
        case list():
            for value in part:
                yield from _texts(value)
        case str():
            yield part
        case _:
            return
