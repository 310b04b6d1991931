"""A notification as JSON: what the list and the feed say, and all that they say."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.contracts.codes import Urgency


class NotificationShown(BaseModel):
    """One notification, in the language of its reader."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[int, Field(ge=1, description="Its place in the reader's own count; the feed's event id.")]
    number: Annotated[str, Field(pattern=r"^R-[0-9A-F]{4}-[0-9A-F]{4}$", examples=["R-4F7A-91C2"])]
    urgency: Urgency
    link: Annotated[str, Field(description="Where to look.")]
    title: Annotated[str, Field(examples=["R-4F7A-91C2 waits for you"])]
    urgency_title: Annotated[str, Field(examples=["immediate"])]
    at: Annotated[AwareDatetime, Field(description="When it happened, in UTC.")]
    when: Annotated[str, Field(description="The same, as the reader writes it, in their own time zone.")]
    read: bool


class Page(BaseModel):
    """Some of a member's notifications, newest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unread: Annotated[int, Field(ge=0)]
    summary: Annotated[str, Field(examples=["One notification is unread"])]
    notifications: list[NotificationShown]
    next: Annotated[int | None, Field(description="Give it as ``before`` to go on; null at the end.")]
    last: Annotated[int, Field(ge=0, description="Give it as ``after`` to the feed to miss nothing.")]
