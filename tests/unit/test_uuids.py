"""Our UUIDs are the standard library's, whoever makes, keeps or sends them."""

import json
import subprocess
import sys
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis.strategies import uuids
from pydantic import TypeAdapter
from pydantic_core import to_json

from shared.uuids import random_uuid, uuid_of


@given(uuids())
def test_they_are_equal_to_the_standard_librarys_and_written_like_them(known: UUID) -> None:
    for made in (uuid_of(str(known)), uuid_of(known.bytes)):
        assert isinstance(made, UUID)
        assert (made, hash(made), str(made), made.bytes, made.int) == (
            known,
            hash(known),
            str(known),
            known.bytes,
            known.int,
        )
        assert json.loads(to_json(made)) == str(known)
        assert TypeAdapter(UUID).validate_python(made, strict=True) == known
        assert (made < UUID(int=1)) == (known < UUID(int=1))


def test_random_ones_are_of_version_4_and_differ() -> None:
    made = {random_uuid() for _ in range(10_000)}
    assert len(made) == 10_000
    assert {(each.version, each.variant) for each in made} == {(4, "specified in RFC 4122")}


FORKS = """
import os
from shared.uuids import random_uuid

random_uuid()
reading, writing = os.pipe()
child = os.fork()
if child:
    os.waitpid(child, 0)
    print(os.read(reading, 36).decode(), random_uuid())
else:
    os.write(writing, str(random_uuid()).encode())
    os._exit(0)
"""


def test_a_process_that_forks_makes_others_than_its_child() -> None:
    said = subprocess.run([sys.executable, "-c", FORKS], check=True, capture_output=True, text=True).stdout
    one, other = map(UUID, said.split())
    assert one != other


@pytest.mark.parametrize("value", ["", "x", "1234", b"", b"123", "00000000-0000-0000-0000-00000000000g"])
def test_what_is_none_is_refused(value: bytes | str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        uuid_of(value)
