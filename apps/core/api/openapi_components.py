"""The last step of the OpenAPI document: components in a form that generators of clients take.

Each rule is for a form of drf-spectacular's that is right, and that some generator takes for something else.
"""

from collections.abc import Iterator
from typing import Any, Final

from django.conf import settings

REFERENCE: Final = "#/components/schemas/"
BLANK: Final = {"$ref": f"{REFERENCE}BlankEnum"}


def simplify_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook: the document, its component schemas changed in place."""
    schemas = result["components"]["schemas"]
    for name, component in schemas.items():
        for holder in _objects(component):
            properties = holder["properties"]
            for member, schema in properties.items():
                properties[member] = _simplified(schema, schemas, is_request=name.endswith("Request"))
    for name, description in settings.API_DESCRIPTION["enums"].items():
        schemas[name]["description"] = description
    schemas.pop("BlankEnum", None)
    return result


def _objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema and the parts of its allOf that have properties."""
    for part in (schema, *schema.get("allOf", ())):
        if "properties" in part:
            yield part


def _simplified(
    schema: dict[str, Any], schemas: dict[str, dict[str, Any]], *, is_request: bool
) -> dict[str, Any]:
    """The schema of a member as clients need it.

    - Requests and answers are different components, so readOnly and writeOnly say nothing; generators would split each
      component in two for them.
    - The title is a name that the admin shows.
    - A default stands in the description: some generators make a member that has one required.
    - An enum that may be empty is one enum, not a choice of two.
    """
    plain = {key: value for key, value in schema.items() if key not in ("readOnly", "writeOnly", "title")}
    if is_request and "default" in plain:
        default = plain.pop("default")
        if default not in (None, ""):
            words = (plain.get("description", ""), f"If left out: `{str(default).lower()}`.")
            plain["description"] = " ".join(filter(None, words))
    if BLANK in plain.get("oneOf", ()):
        (other,) = (option for option in plain.pop("oneOf") if option != BLANK)
        values = schemas[other["$ref"].removeprefix(REFERENCE)]["enum"]
        plain = {"type": "string", "enum": ["", *values], **plain}
    if plain.keys() == {"allOf"} and len(plain["allOf"]) == 1:
        plain = dict(plain["allOf"][0])
    return plain
