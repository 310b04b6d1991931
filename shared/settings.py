"""What every service of a node is told at its start, from ``RELAIS_*`` variables and from files of secrets.

The three services read the same environment whether they run in one process or in three; each takes only what is
named after it.
"""

from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, AnyHttpUrl, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.clock import Clock
from shared.contracts.ids import Organisation
from shared.contracts.personal import refuse_together

BROKER_SCHEMES: Final = ("amqp", "amqps")


def _is_a_broker(address: SecretStr) -> SecretStr:
    """Refuse what nothing can be connected to, before anything is opened.

    Raises:
        PydanticCustomError: ``broker-address-malformed``.
    """
    try:
        parts = urlsplit(address.get_secret_value())
        known = parts.scheme in BROKER_SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise PydanticCustomError("broker-address-malformed", "not the address of a broker")
    return address


BrokerAddress: TypeAlias = Annotated[SecretStr, AfterValidator(_is_a_broker)]
"""``amqp://user:password@host/virtual-host``, or ``amqps`` for TLS."""


def _is_a_site(address: AnyHttpUrl) -> AnyHttpUrl:
    """Refuse what a path cannot be written behind, or says whom it was given to: every link begins with it.

    Raises:
        PydanticCustomError: ``site-address-malformed``.
    """
    if any(part is not None for part in (address.username, address.password, address.query, address.fragment)):
        raise PydanticCustomError("site-address-malformed", "not the plain address of a site")
    return address


SiteAddress: TypeAlias = Annotated[AnyHttpUrl, AfterValidator(_is_a_site)]
"""``https://host/path``, without a user, a query or a fragment."""


class NodeSettings(BaseSettings):
    """What the three services have in common."""

    model_config = SettingsConfigDict(
        env_prefix="RELAIS_",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    organisation: Organisation
    """Whose node this is, such as ``ccem-fr``."""
    folder: Path
    """The node's own folder: keyrings, ``partners/``, ``staff.json``."""
    env: Literal["production", "test"] = "production"
    clock_file: Path | None = None
    """A file with an offset in seconds, in tests only."""
    otlp_endpoint: str | None = None
    """Where spans go, over OTLP/HTTP, such as ``http://127.0.0.1:4318``; nowhere when absent."""
    trace_ratio: float = Field(default=1.0, ge=0.0, le=1.0)
    """The share of traces that is kept."""
    public_url: SiteAddress = AnyHttpUrl("http://127.0.0.1/")
    """The node's address as staff see it; links in notifications begin with it."""
    request_seconds: float = Field(default=30.0, gt=0)
    """How long a caller may take to send the head of a request, and as long again for its body."""
    connections: int = Field(default=250, ge=1)
    """How many connections over HTTP each service has open at once."""

    @model_validator(mode="after")
    def _clock_moves_in_tests_only(self) -> Self:
        if self.clock_file is not None and self.env != "test":
            refuse_together("clock-file-in-tests-only", "clock_file", "env")
        return self

    def clock(self) -> Clock:
        """Return the clock of this node."""
        return Clock(self.clock_file)
