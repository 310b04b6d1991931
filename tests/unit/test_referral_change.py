"""What is written of a referral that changes: every column, but those that its life leaves alone."""

import re

from services.referral.store.referrals import CHANGE, _changing
from services.referral.store.rows import ReferralRow

NEVER_CHANGES = {"id", "conversation", "case_id", "side", "partner", "kind", "urgency", "offered_at", "alias"}


def test_a_column_that_may_change_is_written_when_it_has() -> None:
    changed = set(re.findall(r"(\w+) = new\.\1\b", CHANGE.partition("FROM")[0]))
    assert changed == set(ReferralRow._fields) - NEVER_CHANGES, "name the column in CHANGE, or here"


def test_each_value_stands_where_its_column_is_named() -> None:
    names = re.search(r"AS new \((.*)\)", CHANGE)
    assert names is not None
    row = ReferralRow(*ReferralRow._fields)  # type: ignore[arg-type]  # each field holds its own name
    assert _changing(row) == tuple(names[1].split(", "))
