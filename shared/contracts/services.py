"""The services of a node: the one list of them, by which schemas, roles, keyrings and queues are called."""

from enum import StrEnum


class Service(StrEnum):
    """A service of a node. All that is its own is called after it."""

    INTAKE = "intake"
    REFERRAL = "referral"
    NOTIFY = "notify"
