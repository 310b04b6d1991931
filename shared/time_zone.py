"""Names of time zones, checked where they enter."""

from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def _is_a_zone(name: str) -> str:
    """Refuse what the tz database does not have.

    Raises:
        PydanticCustomError: ``time-zone-unknown``.
    """
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise PydanticCustomError("time-zone-unknown", "not a time zone of the tz database") from None
    return name


TimeZone: TypeAlias = Annotated[str, AfterValidator(_is_a_zone)]
"""Such as ``Europe/Paris``."""
