"""The services of a node: the one list of them, by which schemas, roles, keyrings and queues are called.

Also where they answer over HTTP: what only staff may ask stands under one prefix in each of them, so that one address
can serve all three, the pages that staff will read, and what partners and the public bring.
"""

from enum import StrEnum
from typing import Final

API: Final = "/api"
"""What the path of everything begins with that staff's programs ask."""


class Service(StrEnum):
    """A service of a node. All that is its own is called after it."""

    INTAKE = "intake"
    REFERRAL = "referral"
    NOTIFY = "notify"
