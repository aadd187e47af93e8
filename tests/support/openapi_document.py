"""Parts of the OpenAPI document, with what they refer to."""

from typing import Any


def as_json_schema(schema: Any, document: dict[str, Any]) -> Any:
    """A schema of an OpenAPI 3.0 document as JSON Schema: references resolved, and null among the types."""
    if isinstance(schema, list):
        return [as_json_schema(each, document) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return as_json_schema(document["components"]["schemas"][name], document)
    plain = {name: as_json_schema(value, document) for name, value in schema.items()}
    if plain.pop("nullable", False) and "type" in plain:
        plain["type"] = [plain["type"], "null"]
    return plain


def resolved_response(response: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """A response of an operation; the shared one where it is described by reference."""
    if "$ref" not in response:
        return response
    return dict(document["components"]["responses"][response["$ref"].rpartition("/")[2]])
