"""Waiting ends with the fact, or with an error that says what did not come."""

import asyncio

import pytest

from tests.support.wait import until


async def test_it_returns_the_fact() -> None:
    answers = iter([None, 0, "", "there"])
    assert await until(lambda: next(answers)) == "there"


async def test_it_asks_coroutine_functions_too() -> None:
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)

    async def is_set() -> bool:
        return event.is_set()

    assert await until(is_set)


async def test_it_gives_up_and_says_on_what() -> None:
    with pytest.raises(TimeoutError, match=r"not within 0.05 s: a receipt"):
        await until(lambda: False, seconds=0.05, what="a receipt")


async def test_an_error_goes_through_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        await until(lambda: 1 // 0, seconds=60)
