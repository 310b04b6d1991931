"""What intake is told at its start."""

from ipaddress import IPv4Network, IPv6Network
from typing import Final

from pydantic import Field, IPvAnyNetwork, SecretStr

from services.intake.domain.screening import EXPLOITATION_BY_WORK, Remit
from shared.contracts.codes import Exploitation
from shared.settings import BrokerAddress, NodeSettings

LOOPBACK: Final = (IPv4Network("127.0.0.1"), IPv6Network("::1"))


class IntakeSettings(NodeSettings):
    """``RELAIS_INTAKE_*``, beside what all services are told."""

    intake_database: SecretStr
    """The service's own role on the node's database: ``postgresql://…``."""
    intake_node_broker: BrokerAddress
    """The service's own user on the node's virtual host: ``amqp://…``."""
    intake_exchange_broker: BrokerAddress
    """The service's own user on the exchange's virtual host: ``amqp://…``."""
    intake_passphrase: SecretStr
    """Opens ``intake.keys``: the key that signs receipts and reports, and the key that signs the audit log."""
    intake_host: str = "127.0.0.1"
    intake_port: int = Field(default=8001, ge=0, le=65_535)
    intake_events_a_second: float = Field(default=20.0, gt=0)
    """How many envelopes one partner, and one address, may bring over HTTP in the long run."""
    intake_reports_a_minute: float = Field(default=2.0, gt=0)
    """How many reports one address may make in the long run; five minutes' worth of them at once."""
    intake_all_events_a_second: float = Field(default=200.0, gt=0)
    """How many envelopes may come over HTTP in the long run, from all addresses together.

    Half of it is kept for networks that come seldom; so it is with reports.
    """
    intake_all_reports_a_minute: float = Field(default=60.0, gt=0)
    """How many reports may come in the long run, from all addresses together."""
    intake_trusted_proxies: tuple[IPvAnyNetwork, ...] = LOOPBACK
    """Whose word on where a caller is (``X-Forwarded-For``) is believed: addresses and networks, as a JSON list."""
    intake_forms: frozenset[Exploitation] = EXPLOITATION_BY_WORK
    """The forms of exploitation that the organisation takes on, as a JSON list; reports are screened by them."""

    @property
    def remit(self) -> Remit:
        """What the organisation takes on, and the country in its id."""
        return Remit(self.intake_forms, self.organisation.rpartition("-")[2].upper())
