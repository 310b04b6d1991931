"""Descriptions of what a service takes over HTTP and hears on its broker: generated, committed, compared.

With ``RELAIS_WRITE_DESCRIPTIONS=1`` a comparison writes the file instead of failing.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from faststream.rabbit import RabbitBroker, RabbitQueue
from faststream.specification import AsyncAPI
from pydantic import BaseModel

ANEW = "To write it: RELAIS_WRITE_DESCRIPTIONS=1 .venv/bin/python -m pytest tests/contract -k descriptions"
FOLDER = Path(__file__).parents[2] / "docs" / "protocol"


def openapi(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI description of ``app``."""
    return app.openapi()


def asyncapi(service: str, queues: Mapping[str, tuple[str, type[BaseModel]]]) -> dict[str, Any]:
    """Return the AsyncAPI description of a service: for each queue what comes on it, in words and as a model."""
    broker = RabbitBroker(specification_url="amqp://broker.example.org/node", apply_types=False)
    for name, (description, model) in queues.items():

        async def hear(message: Any) -> None:  # noqa: ANN401 - the annotation is set below
            del message

        hear.__name__ = name.replace(".", "_")
        hear.__annotations__["message"] = model
        broker.subscriber(RabbitQueue(name, declare=False), title=name, description=description)(hear)
    described = AsyncAPI(broker, title=f"Relais: {service}", version="1", schema_version="3.0.0")
    found: dict[str, Any] = json.loads(described.to_specification().to_json())
    return found


def assert_current(kind: str, service: str, description: dict[str, Any]) -> None:
    """See that ``docs/protocol/<kind>/<service>.json`` says this; write it when the environment asks for that."""
    path = FOLDER / kind / f"{service}.json"
    text = json.dumps(description, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
    if os.environ.get("RELAIS_WRITE_DESCRIPTIONS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        pytest.fail(f"docs/protocol/{kind}/{service}.json is out of date. {ANEW}", pytrace=False)
