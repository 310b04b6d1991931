"""What notify takes over HTTP and hears on the broker stands in ``docs/protocol``, as the code has it."""

from pathlib import Path
from typing import Any

from services.notify.app import QUEUE, create_app
from services.notify.settings import NotifySettings
from shared.contracts.facts import Fact
from tests.support.described import assert_current, asyncapi, openapi


def described_http() -> dict[str, Any]:
    return openapi(
        create_app(
            NotifySettings.model_validate(
                {
                    "organisation": "ccem-fr",
                    "folder": Path("nowhere"),
                    "notify_database": "postgresql://nowhere",
                    "notify_node_broker": "amqp://nowhere",
                    "notify_passphrase": "nothing",
                    "notify_smtp": "smtp://nowhere",
                    "notify_mail_from": "relais@example.org",
                }
            )
        )
    )


def test_the_openapi_description_is_current() -> None:
    assert_current("openapi", "notify", described_http())


def test_the_asyncapi_description_is_current() -> None:
    heard = {QUEUE: ("Facts: that something happened in this node, and somebody must know", Fact)}
    assert_current("asyncapi", "notify", asyncapi("notify", heard))


def test_every_answer_that_a_caller_may_get_is_described() -> None:
    paths = described_http()["paths"]
    assert {path: sorted(methods) for path, methods in paths.items()} == {
        "/api/feed": ["get"],
        "/api/notifications": ["get"],
        "/api/notifications/{notification}/read": ["post"],
    }
    assert "text/event-stream" in paths["/api/feed"]["get"]["responses"]["200"]["content"]
    for methods in paths.values():
        for operation in methods.values():
            assert operation["security"] == [{"HTTPBearer": []}]
            assert "401" in operation["responses"]
