"""Every cell of the three tables, which stand here once more, as referral workers know them."""

import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from services.referral.domain import hearing, life
from services.referral.domain.life import BEFORE_ARRIVAL, SAID_BY, Side, Words, after
from services.referral.domain.moves import contents
from services.referral.domain.refusals import Refused
from services.referral.domain.ruling import Ruling
from services.referral.domain.saying import say
from shared.contracts.codes import Category, Status, Step
from shared.contracts.exchange import EVENTS
from tests.support.referral_pairs import Pair, at_status, words_for
from tests.support.referrals import BY_STEP, NOON, RECEIVER, SENDER, act, event, offered, released, state

PAGE = Path(__file__).parents[2] / "docs" / "architecture" / "referral-life.md"

TABLE = """
from                                                    step               by        to
-                                                       offered            sender    offered
offered received opened asked accepted disclosed missed withdrawn          sender    withdrawn
received                                                opened             receiver  opened
received opened                                         asked              receiver  asked
asked                                                   answered           sender    opened
received opened asked                                   accepted           receiver  accepted
received opened asked                                   declined           receiver  declined
received opened asked                                   redirected         receiver  redirected
accepted                                                disclosed          sender    disclosed
disclosed missed                                        arrived            receiver  arrived
disclosed                                               missed             receiver  missed
missed                                                  rescheduled        sender    disclosed
arrived                                                 progressed         receiver  arrived
arrived closing                                         closed             receiver  closed
offered received opened asked accepted disclosed missed consent-withdrawn  sender    withdrawn
declined redirected withdrawn                           consent-withdrawn  sender    withdrawn
arrived closing                                         consent-withdrawn  sender    closing
closed                                                  consent-withdrawn  sender    closed
"""

STEPS = """
step               by        happened  kept   words     alarms
offered            sender    -         -      grants    -
opened             receiver  yes       yes    terms     -
asked              receiver  -         -      terms     -
answered           sender    -         -      terms     -
accepted           receiver  -         -      terms     -
declined           receiver  -         yes    always    -
redirected         receiver  -         yes    always    -
disclosed          sender    -         -      grants    -
arrived            receiver  yes       yes    none      -
missed             receiver  yes       yes    always    immediate
rescheduled        sender    -         -      grants    -
progressed         receiver  yes       -      feedback  -
closed             receiver  yes       yes    feedback  -
withdrawn          sender    -         yes    none      -
consent-withdrawn  sender    -         yes    none      urgent
"""

STATUSES = """
status      open  person    once-taken-back
offered     yes   away      withdrawn
received    yes   away      withdrawn
opened      yes   away      withdrawn
asked       yes   away      withdrawn
accepted    yes   away      withdrawn
disclosed   yes   expected  withdrawn
declined    -     away      withdrawn
redirected  -     away      withdrawn
arrived     yes   there     closing
missed      yes   expected  withdrawn
closing     -     there     closing
closed      -     there     closed
withdrawn   -     away      withdrawn
"""


def rows(table: str) -> dict[str, list[str]]:
    """Return the rows of a table by the word that each begins with, without its head."""
    return {name: answers for name, *answers in (line.split() for line in table.strip().splitlines()[1:])}


def cells() -> dict[tuple[str, str], tuple[str, str]]:
    """Return the table as (from, step) → (side, to)."""
    rows = [line.split() for line in TABLE.strip().splitlines()[1:]]
    return {(status, row[-3]): (row[-2], row[-1]) for row in rows for status in row[:-3]}


CELLS = cells()
STEP_ROWS, STATUS_ROWS = rows(STEPS), rows(STATUSES)
EVERY = [(status, step, side) for status in Status for step in EVENTS if step is not Step.OFFERED for side in Side]


@pytest.mark.parametrize(("status", "step", "side"), EVERY)
def test_a_command_does_what_the_table_says(status: Status, step: Step, side: Side) -> None:
    pair = at_status(status)
    referral = pair.copy(side)
    ruling = say(referral, act(), EVENTS[step], words_for(referral, step), released(*Category))
    by, to = CELLS.get((referral.status.value, step.value), (None, None))
    if SAID_BY[step] is not side:
        assert ruling == Ruling.refused(Refused.NOT_THIS_SIDE, status=referral.status.value)
    elif by is None:
        assert ruling == Ruling.refused(Refused.NOT_IN_TABLE, status=referral.status.value)
    else:
        assert (by, state(ruling).status.value) == (side.value, to)


@pytest.mark.parametrize(("status", "step", "side"), EVERY)
def test_an_event_does_what_the_table_says(status: Status, step: Step, side: Side) -> None:
    """``side`` hears the other side say ``step``, knowing all that there was to know."""
    pair = at_status(status)
    referral = pair.copy(side)
    n, seen = len(referral.lane(side.other)) + 1, len(referral.lane(side))
    speaker = SENDER if side is Side.RECEIVER else RECEIVER
    ruling = hearing.hear(referral, event(referral, BY_STEP[step], n, seen), speaker, act())
    assert isinstance(ruling, Ruling)
    known = Status.RECEIVED if status is Status.OFFERED and SAID_BY[step] is Side.RECEIVER else status
    by, to = CELLS.get((known.value, step.value), (None, None))
    if SAID_BY[step] is side:
        assert ruling == Ruling.refused(Refused.NOT_THIS_SIDE)
    elif by is None:
        assert ruling == Ruling.refused(Refused.NOT_IN_TABLE)
    else:
        assert (by, state(ruling).status.value) == (side.other.value, to)


@pytest.mark.parametrize("status", Status)
def test_an_offer_is_made_once(status: Status) -> None:
    pair = at_status(status)
    again = say(pair.sender, act(), EVENTS[Step.OFFERED], BY_STEP[Step.OFFERED])
    assert again == Ruling.refused(Refused.NOT_IN_TABLE, status=pair.sender.status.value)


def test_the_table_has_no_other_cell() -> None:
    found = {
        (status.value, step.value): (SAID_BY[step].value, reached.value)
        for status in Status
        for step in EVENTS
        if status is not Status.OFFERED and (reached := after(status, step)) is not None
    }
    assert found == {key: cell for key, cell in CELLS.items() if key[0] not in ("-", "offered")}
    assert [step for step in Step if after(None, step) is not None] == [Step.OFFERED]


def test_a_step_is_of_the_kind_that_referral_workers_say() -> None:
    assert {step.value: [*map(shown, kind)] for step, kind in life.STEPS.items()} == STEP_ROWS


def test_a_status_means_what_referral_workers_say() -> None:
    assert {status.value: [*map(shown, is_)] for status, is_ in life.STATUSES.items()} == STATUS_ROWS


def shown(answer: object) -> object:
    """Return an answer as it stands in the table."""
    return "yes" if answer is True else answer or "-"


def test_what_may_be_said_again_and_again_is_what_leads_back() -> None:
    """Whoever takes their consent back again says nothing new: a case tells each holder once."""
    ways: set[tuple[Status | None, tuple[Step, ...]]] = {(None, ())}
    for _ in range(8):
        ways |= {(to, (*said, step)) for at, said in ways for step in EVENTS if (to := after(at, step)) is not None}
    again = {step for _, said in ways for step in said if said.count(step) > 1}
    assert again - {Step.CONSENT_WITHDRAWN} == life.REPEATABLE


def drawn(page: str) -> set[tuple[str | None, str, str, str]]:
    """Return every arrow of the page's drawing as (from, step, side, to)."""
    drawing = page.split("```mermaid")[1].split("```", maxsplit=1)[0]
    groups = {name: re.findall(r"\w+", says) for says, name in re.findall(r'state "(.*)" as (\w+)', drawing)}
    groups |= {"before": [*BEFORE_ARRIVAL], "[*]": [None]}
    return {
        (status, "received" if step == "receipt" else step.strip().replace(" ", "-"), side, to)
        for source, to, label in re.findall(r"(\S+) --> (\w+): (.*)", drawing)
        for step, side in re.findall(r"([a-z ]+?) \((\w)", label)
        for status in groups.get(source, [source])
        if status != "or"
    }


def test_the_drawing_on_the_page_is_the_table() -> None:
    letters = {Side.SENDER: "A", Side.RECEIVER: "B", None: "B"}
    assert drawn(PAGE.read_text(encoding="utf-8")) == {
        (status, step, letters[SAID_BY.get(step)], to) for (status, step), to in life.TABLE.items()
    }


def test_an_offer_is_received_where_it_arrives_and_with_its_receipt_where_it_left() -> None:
    pair = Pair.of(offered())
    assert (pair.sender.status, pair.receiver.status) == (Status.OFFERED, Status.RECEIVED)
    received = hearing.hear_receipt(pair.sender, act())
    assert state(received).status is Status.RECEIVED
    assert hearing.hear_receipt(state(received), act()) == Ruling()


def test_what_the_receiver_says_proves_that_it_has_the_offer() -> None:
    pair = Pair.of(offered())
    pair.say(Side.RECEIVER, Step.ASKED)
    pair.deliver_all()
    assert pair.sender.status is Status.ASKED
    assert pair.sender.receipt_at is None


def test_consent_counts_as_taken_back_from_the_first_time() -> None:
    pair = at_status(Status.ARRIVED)
    for hours in (1, 2):
        pair.say(Side.SENDER, Step.CONSENT_WITHDRAWN, NOON + timedelta(hours=hours))
        pair.deliver_all()
    for copy in (pair.sender, pair.receiver):
        assert copy.standing.consent_withdrawn_at == NOON + timedelta(hours=1)


def paper_steps() -> set[Step]:
    """Return the steps that may bring a paper: their example does."""
    return {step for step, data in BY_STEP.items() if contents(data)}


def wordless(steps: Mapping[Step, life.Traits], papers: Collection[Step]) -> set[Step]:
    """Return the steps that bring a paper, and do not say when its words may leave."""
    return {step for step in papers if steps[step].words is Words.NONE}


def unheeding(steps: Mapping[Step, life.Traits], papers: Collection[Step]) -> set[Step]:
    """Return the steps of the receiver after the arrival whose words go without regard to what the person allows."""
    after_arrival = {step for status, step in life.TABLE if status in (Status.ARRIVED, Status.CLOSING)}
    said = {step for step in papers if step in after_arrival and steps[step].said_by is Side.RECEIVER}
    return {step for step in said if steps[step].words is not Words.FEEDBACK}


def test_every_step_that_has_a_paper_says_when_its_words_may_leave() -> None:
    assert wordless(life.STEPS, paper_steps()) == set()
    assert unheeding(life.STEPS, paper_steps()) == set()


@pytest.mark.parametrize("words", [Words.NONE, Words.TERMS, Words.ALWAYS])
def test_words_after_the_arrival_that_the_person_is_not_asked_about_are_found(words: Words) -> None:
    careless = {**life.STEPS, Step.CLOSED: life.STEPS[Step.CLOSED]._replace(words=words)}
    assert unheeding(careless, paper_steps()) == {Step.CLOSED}
    assert wordless(careless, paper_steps()) == ({Step.CLOSED} if words is Words.NONE else set())


def test_grants_are_asked_for_by_the_sender_alone() -> None:
    """The gate knows the grants of the case, which only the organisation that recorded them has."""
    assert {SAID_BY[step] for step, traits in life.STEPS.items() if traits.words is Words.GRANTS} == {Side.SENDER}
