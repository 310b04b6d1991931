"""What notify is told at its start."""

from pydantic import Field, SecretStr

from shared.mail_address import MailAddress
from shared.settings import BrokerAddress, NodeSettings


class NotifySettings(NodeSettings):
    """``RELAIS_NOTIFY_*``, beside what all services are told."""

    notify_database: SecretStr
    """The service's own role on the node's database: ``postgresql://…``."""
    notify_node_broker: BrokerAddress
    """The service's own user on the node's virtual host: ``amqp://…``."""
    notify_passphrase: SecretStr
    """Opens ``notify.keys``, which holds the key that signs the audit log."""
    notify_host: str = "127.0.0.1"
    notify_port: int = Field(default=8003, ge=0, le=65_535)
    notify_smtp: SecretStr
    """The mail server: ``smtp://host:25``, ``smtp+starttls://user:password@host`` or ``smtps://user:password@host``."""
    notify_mail_from: MailAddress
    """The address that mail comes from; its domain also names our mails and introduces us to the server."""
