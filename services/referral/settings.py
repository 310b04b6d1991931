"""What the referral service is told at its start."""

from pydantic import Field, SecretStr

from shared.settings import BrokerAddress, NodeSettings
from shared.time_zone import TimeZone


class ReferralSettings(NodeSettings):
    """``RELAIS_REFERRAL_*``, beside what all services are told."""

    referral_database: SecretStr
    """The service's own role on the node's database: ``postgresql://…``."""
    referral_node_broker: BrokerAddress
    """The service's own user on the node's virtual host: ``amqp://…``."""
    referral_exchange_broker: BrokerAddress
    """The service's own user on the exchange's virtual host: ``amqp://…``."""
    referral_passphrase: SecretStr
    """Opens ``referral.keys``: the inbox, signing, storage and audit keys."""
    referral_host: str = "127.0.0.1"
    referral_port: int = Field(default=8002, ge=0, le=65_535)
    referral_time_zone: TimeZone = "Europe/Paris"
    """Where the organisation works: its working days are reckoned there."""
