"""Facts leave many in a letter, one on a line, each with its own bytes."""

from datetime import UTC, datetime
from uuid import uuid4

from hypothesis import given
from hypothesis.strategies import integers

from shared.contracts.codes import Urgency
from shared.contracts.facts import Fact
from shared.messaging.desk import Said
from shared.messaging.fact_letters import FACTS_IN_A_LETTER, fact_letters, fact_line, lines_of, parked_fact

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@given(integers(min_value=0, max_value=3 * FACTS_IN_A_LETTER + 1))
def test_every_fact_is_on_a_line_in_order_and_nothing_else_is(count: int) -> None:
    facts = [parked_fact(uuid4(), datetime.now(UTC)) for _ in range(count)]
    said = [each for fact in facts for each in (Said("an event for a partner"), Said(fact, TRACE))]
    letters = fact_letters("intake", said)
    read = [Fact.model_validate_json(line) for letter in letters for line in lines_of(letter.body)]
    assert read == [fact.model_copy(update={"traceparent": TRACE}) for fact in facts]
    assert len(letters) == -(-count // FACTS_IN_A_LETTER)
    assert all(
        (letter.headers, letter.exchange, letter.routing_key) == ({}, "from.intake", "notify") for letter in letters
    )
    assert len({letter.id for letter in letters}) == len(letters)


def test_what_is_parked_is_urgent_as_the_alarm_of_it_is() -> None:
    assert parked_fact(uuid4(), datetime.now(UTC)).urgency is Urgency.URGENT


def test_a_fact_has_the_same_bytes_in_whatever_company_it_leaves() -> None:
    fact = parked_fact(uuid4(), datetime.now(UTC))
    other = parked_fact(uuid4(), datetime.now(UTC))
    [alone], [both] = fact_letters("referral", [Said(fact)]), fact_letters("referral", [Said(other), Said(fact)])
    assert lines_of(alone.body) == [fact_line(fact, None)] == lines_of(both.body)[1:]
    assert b"\n" not in fact_line(fact, TRACE)
