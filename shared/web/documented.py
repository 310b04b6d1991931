"""What FastAPI cannot see by itself, for the OpenAPI document: refusals, and bodies that a route reads on its own."""

from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from shared.contracts.problem import MEDIA_TYPE

SCHEMAS: Final = "#/components/schemas/{model}"

WHY: Final = {
    400: "Not in the form that it must have.",
    401: "Not signed in.",
    403: "The sender may not speak to this organisation now.",
    404: "Not there, or not for this reader.",
    408: "Not all there in time; the connection is closed.",
    409: "The id or the key was used for something else before.",
    410: "Erased: its key was destroyed, and nobody can read it any more.",
    413: "Too large; not read.",
    415: "Another type of content than the one that is taken.",
    422: "Fields are missing or contradict one another; each is named.",
    429: "Too many requests; come again after the time that Retry-After says.",
    503: "Cannot be done now and nothing is lost; come again after the time that Retry-After says.",
}

_TEXT: Final = {"type": "string"}

PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "urn:relais:problem: and the code."},
        "title": {"type": "string", "description": "One sentence in the language of Accept-Language."},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "A stable word for programs.", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$"},
        "detail": {"type": "object", "additionalProperties": _TEXT},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "title"],
                "properties": {
                    "pointer": {"type": "string", "format": "json-pointer"},
                    "code": _TEXT,
                    "title": _TEXT,
                },
            },
        },
    },
}
"""RFC 9457, with a code and the fields that are wrong."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of these refusals."""
    content = {MEDIA_TYPE: {"schema": {"$ref": SCHEMAS.format(model="Problem")}}}
    return {status: {"description": WHY[status], "content": content} for status in statuses}


def describe(app: FastAPI, *models: type[BaseModel]) -> None:
    """Let the OpenAPI document of ``app`` hold refusals and ``models``, which its routes name by :data:`SCHEMAS`."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = FastAPI.openapi(app)
            document.setdefault("components", {}).setdefault("schemas", {})["Problem"] = PROBLEM
            for model in models:
                schema = model.model_json_schema(ref_template=SCHEMAS)
                document["components"]["schemas"] |= {**schema.pop("$defs", {}), model.__name__: schema}
        return app.openapi_schema or {}

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's own way: "Extending OpenAPI"
