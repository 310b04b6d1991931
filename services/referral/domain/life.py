"""The table: what may happen to a referral, who may say so, and where it then stands.

Every transition that is not here is refused, in both stores. The table knows nothing of messages, races or staff; what
two organisations said at the same time is put in order first (:mod:`services.referral.domain.lanes`).
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from shared.contracts.codes import Status, Step


class Side(StrEnum):
    """The two ends of a referral."""

    SENDER = "sender"
    RECEIVER = "receiver"

    @property
    def other(self) -> "Side":
        """The opposite end."""
        return Side.RECEIVER if self is Side.SENDER else Side.SENDER


SAID_BY: Mapping[Step, Side] = MappingProxyType(
    {
        Step.OFFERED: Side.SENDER,
        Step.OPENED: Side.RECEIVER,
        Step.ASKED: Side.RECEIVER,
        Step.ANSWERED: Side.SENDER,
        Step.ACCEPTED: Side.RECEIVER,
        Step.DISCLOSED: Side.SENDER,
        Step.DECLINED: Side.RECEIVER,
        Step.REDIRECTED: Side.RECEIVER,
        Step.ARRIVED: Side.RECEIVER,
        Step.MISSED: Side.RECEIVER,
        Step.RESCHEDULED: Side.SENDER,
        Step.PROGRESSED: Side.RECEIVER,
        Step.CLOSED: Side.RECEIVER,
        Step.WITHDRAWN: Side.SENDER,
        Step.CONSENT_WITHDRAWN: Side.SENDER,
    },
)
"""Who says each step. ``received`` is not among them: the receiver's intake proves it with a receipt."""

BEFORE_ARRIVAL = frozenset(
    {
        Status.OFFERED,
        Status.RECEIVED,
        Status.OPENED,
        Status.ASKED,
        Status.ACCEPTED,
        Status.DISCLOSED,
        Status.MISSED,
    },
)
"""Open, and the person is not there yet."""

OPEN = BEFORE_ARRIVAL | {Status.ARRIVED}
"""Somebody still has something to do."""

READABLE = frozenset({Status.RECEIVED, Status.OPENED, Status.ASKED})
"""The receiver has not decided yet."""

_AFTER_ARRIVAL = frozenset({Status.ARRIVED, Status.CLOSED})

TABLE: Mapping[tuple[Status | None, Step], Status] = MappingProxyType(
    {(None, Step.OFFERED): Status.OFFERED, (Status.OFFERED, Step.RECEIVED): Status.RECEIVED}
    | {(Status.RECEIVED, Step.OPENED): Status.OPENED}
    | {(status, Step.ASKED): Status.ASKED for status in (Status.RECEIVED, Status.OPENED)}
    | {(Status.ASKED, Step.ANSWERED): Status.OPENED}
    | {(status, Step.ACCEPTED): Status.ACCEPTED for status in READABLE}
    | {(status, Step.DECLINED): Status.DECLINED for status in READABLE}
    | {(status, Step.REDIRECTED): Status.REDIRECTED for status in READABLE}
    | {(Status.ACCEPTED, Step.DISCLOSED): Status.DISCLOSED}
    | {(status, Step.ARRIVED): Status.ARRIVED for status in (Status.DISCLOSED, Status.MISSED)}
    | {(Status.DISCLOSED, Step.MISSED): Status.MISSED}
    | {(Status.MISSED, Step.RESCHEDULED): Status.DISCLOSED}
    | {(Status.ARRIVED, Step.PROGRESSED): Status.ARRIVED}
    | {(Status.ARRIVED, Step.CLOSED): Status.CLOSED}
    | {(status, Step.WITHDRAWN): Status.WITHDRAWN for status in BEFORE_ARRIVAL}
    | {
        (status, Step.CONSENT_WITHDRAWN): Status.CLOSED if status in _AFTER_ARRIVAL else Status.WITHDRAWN
        for status in Status
    },
)
"""Where each step leads from each status; ``None`` is a referral that is not there yet."""


def after(status: Status | None, step: Step) -> Status | None:
    """Return where ``step`` leads from ``status``, or ``None`` where the table does not have it.

    Whatever the receiver says proves that it holds the offer: the receipt is implied where it has not come yet.
    """
    if status is Status.OFFERED and SAID_BY.get(step) is Side.RECEIVER:
        status = Status.RECEIVED
    return TABLE.get((status, step))
