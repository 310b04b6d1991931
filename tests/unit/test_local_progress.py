"""A person is told what is being waited for when it takes long, and not bothered when it does not."""

from deploy.local.progress import waiting
from tests.support.wait import until


async def test_what_takes_long_is_said_once() -> None:
    said: list[str] = []
    with waiting("starting …", said.append, patience=0.01):
        await until(lambda: said, what="a line")
    assert said == ["starting …"]


def test_what_is_quick_is_not() -> None:
    said: list[str] = []
    with waiting("starting …", said.append, patience=60):
        pass
    assert said == []
