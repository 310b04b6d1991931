"""What the data of each event that a receiver says may hold: docs/protocol/events.md, section 6, and the schemas.

Each check raises KeyError, TypeError or ValueError for anything else. None says what it found: data may be personal.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from .envelope import UUID4, is_organisation
from .lanes import Step
from .values import Json, members, text

LONGEST = {"question": 4000, "note": 4000, "where": 4000, "bring": 4000, "who": 200, "name": 200}
"""The longest each text may be; those of 200 characters stand on one line."""
LONGEST_LINE = 200
RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
CONTROL_ON_A_LINE = re.compile(r"[\x00-\x1f\x7f]")

DECLINE_REASONS = frozenset(
    {
        "no_capacity",
        "waiting_list",
        "not_eligible_age",
        "not_eligible_sex",
        "not_eligible_territory",
        "not_eligible_exploitation",
        "not_eligible_status",
        "out_of_area",
        "unsafe_here",
        "language_not_available",
        "higher_level_of_care",
        "already_followed_here",
        "could_not_contact",
        "person_declined",
        "person_disappeared",
        "missing_information",
        "service_suspended",
        "sent_in_error",
        "other",
    }
)
DECLINED_BY = frozenset({"provider", "person"})
MISS_REASONS = frozenset({"did_not_come", "left_on_the_way", "could_not_be_met", "time_passed", "feared_taken_back"})
PROGRESS = frozenset({"settled", "support_under_way", "support_completed", "moved_within", "other"})
OUTCOMES = frozenset({"got_help", "got_part", "could_not_be_helped", "person_left", "referred_on", "other"})
MEETING_PARTS = ("when", "where", "who")


def _nothing(data: Json) -> None:
    only(data, set(), set())


def _asked(data: Json) -> None:
    only(data, {"question"}, set())
    _texts(data)


def _accepted(data: Json) -> None:
    only(data, {"meeting"}, {"expected"})
    meeting = without_nothing(members(data["meeting"]))
    only(meeting, set(), {*MEETING_PARTS, "withheld", "bring"})
    withheld = meeting.get("withheld", [])
    if not isinstance(withheld, list) or len(set(withheld)) != len(withheld):
        raise ValueError
    if set(withheld) != set(MEETING_PARTS) - set(meeting):  # each part is either said or kept back
        raise ValueError
    if "when" in meeting:
        moment(meeting["when"])
    _texts(meeting)


def _declined(data: Json) -> None:
    only(data, {"reason", "by"}, {"until", "note"})
    reason, by = _code(data["reason"], DECLINE_REASONS), _code(data["by"], DECLINED_BY)
    if (reason == "waiting_list") != ("until" in data) or (reason == "person_declined" and by != "person"):
        raise ValueError
    if "until" in data:
        _day(data["until"])
    _other_needs_a_note(reason, data)


def _redirected(data: Json) -> None:
    only(data, {"reason"}, {"to", "name", "note"})
    _code(data["reason"], DECLINE_REASONS)
    if ("to" in data) == ("name" in data) or ("to" in data and not is_organisation(text(data["to"]))):
        raise ValueError
    _texts(data)


def _missed(data: Json) -> None:
    only(data, {"reason"}, {"note"})
    _code(data["reason"], MISS_REASONS)
    _texts(data)


def _progressed(data: Json) -> None:
    only(data, {"code"}, {"note"})
    _code(data["code"], PROGRESS)
    _texts(data)


def _closed(data: Json) -> None:
    only(data, {"outcome"}, {"note"})
    _other_needs_a_note(_code(data["outcome"], OUTCOMES), data)


DATA: Mapping[Step, Callable[[Json], None]] = {
    Step.OPENED: _nothing,
    Step.ASKED: _asked,
    Step.ACCEPTED: _accepted,
    Step.DECLINED: _declined,
    Step.REDIRECTED: _redirected,
    Step.ARRIVED: _nothing,
    Step.MISSED: _missed,
    Step.PROGRESSED: _progressed,
    Step.CLOSED: _closed,
}
"""How the data of each event that a receiver says is checked."""


def _other_needs_a_note(code: str, data: Json) -> None:
    if code == "other" and "note" not in data:
        raise ValueError
    _texts(data)


def _texts(data: Json) -> None:
    for name, longest in LONGEST.items():
        if name in data:
            value = text(data[name])
            unwanted = CONTROL_ON_A_LINE if longest == LONGEST_LINE else CONTROL
            if not 1 <= len(value) <= longest or unwanted.search(value):
                raise ValueError


def _code(value: object, codes: frozenset[str]) -> str:
    if text(value) not in codes:
        raise ValueError
    return text(value)


def _day(value: object) -> date:
    if not DAY.fullmatch(text(value)):
        raise ValueError
    return date.fromisoformat(text(value))


def only(stated: Json, needed: set[str], allowed: set[str]) -> None:
    """Check that an object has all members that it needs, and none but those and the allowed ones."""
    if not needed <= set(stated) <= needed | allowed:
        raise ValueError


def without_nothing(stated: Json) -> Json:
    """Drop members that are ``null``: that means the same as leaving them out."""
    return {name: value for name, value in stated.items() if value is not None}


def uuid4(value: object) -> str:
    """Return an id in lower case."""
    lower = text(value).lower()
    if not re.fullmatch(UUID4, lower):
        raise ValueError
    return lower


def moment(value: object) -> datetime:
    """Return a time with an offset, in UTC."""
    if not RFC_3339.fullmatch(text(value)):
        raise ValueError
    try:
        return datetime.fromisoformat(text(value).upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError from None
