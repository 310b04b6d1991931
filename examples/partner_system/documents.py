"""What key documents and agreements have in common: docs/protocol/keys.md, section 4.

Each is a signed note over two lines, a format and a JSON object in its one spelling. A reader parses the object, writes
it again, and refuses what does not come out the same.
"""

import json

from . import notes
from .notes import Note, Verifier
from .refusal import Refused
from .values import Json, members


def read_note(note: str) -> Note:
    """Read a signed note; raise ``document-malformed`` where it is none."""
    try:
        return notes.read(note)
    except ValueError:
        raise Refused("document-malformed") from None


def require_signature(read: Note, verifier: Verifier) -> None:
    """Raise ``document-forged`` or ``document-unsigned`` unless the key of ``verifier`` signed the note."""
    try:
        signers = read.signers([verifier])
    except ValueError:
        raise Refused("document-forged") from None
    if not signers:
        raise Refused("document-unsigned")


def two_lines(format_line: str, stated: Json) -> str:
    """Return the text of a document."""
    return f"{format_line}\n{json.dumps(stated, separators=(',', ':'))}\n"


def read_two_lines(read: Note, format_line: str) -> Json:
    """Return what a document of this format states; raise ``document-malformed`` where it is none."""
    first, _, rest = read.text.partition("\n")
    try:
        return members(json.loads(rest) if first == format_line else None)
    except (ValueError, TypeError, RecursionError):
        raise Refused("document-malformed") from None


def owner(name: str) -> str:
    """Return the organisation whose identity key has this name."""
    return name.removesuffix("/identity")
