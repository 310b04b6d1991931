"""Every kind of paper has a model to be read by: without it nothing that is kept about its referral could be opened."""

import pytest

from services.referral.domain.moves import contents
from services.referral.domain.ruling import PaperName
from services.referral.store.papers import MODELS
from shared.contracts.codes import Category
from shared.contracts.event_data import AnsweredData, EventData
from tests.support.referrals import CANARY, DATA, packet

WITH_ALL = AnsweredData(answer=CANARY, packet=packet(), identity_reason=CANARY)


def test_every_kind_of_paper_has_its_model() -> None:
    assert set(MODELS) == {*Category, *PaperName}, "MODELS of store/papers.py lacks a kind, or has one more"


@pytest.mark.parametrize("data", [*DATA, WITH_ALL], ids=lambda data: type(data).__name__)
def test_what_an_event_brings_is_read_by_the_model_it_was_written_by(data: EventData) -> None:
    for name, content in contents(data).items():
        assert type(content) is MODELS[name], name
