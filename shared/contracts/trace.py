"""Where something was decided, for whoever follows it through several services."""

from typing import Annotated

from pydantic import StringConstraints

Traceparent = Annotated[str, StringConstraints(pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")]
"""W3C Trace Context, version 00: a span, to go on from within the node and to link to from another organisation."""
