"""The page at ``/docs``: what ``/openapi.json`` says, for people. It loads nothing and runs nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from exporter.pages.template import template

#: What ``httpd.openapi`` marks the answers with that every request may get: they are shown once.
_EVERY: Final = "x-every-request"


class Type(msgspec.Struct, frozen=True):
    """A type in a few words, and the anchor of what it is made of."""

    text: str
    link: str = ""


def reference(document: Mapping[str, Any]) -> str:
    """The page as HTML, from a document in OpenAPI as ``httpd.openapi`` makes it."""
    info = document["info"]
    return template("reference.html.j2").render(
        title=info["title"],
        version=info["version"],
        description=info["description"],
        everywhere=_everywhere(document),
        families=[_family(tag, document) for tag in document["tags"]],
        types=[_type(name, schema) for name, schema in sorted(document["components"]["schemas"].items())],
    )


def type_of(schema: Mapping[str, Any]) -> Type:
    """``Stats``, ``list of Worker``, ``integer or null``, ``one of healthy, degraded``; the first struct is linked."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return Type(name, f"type-{name}")
    if "anyOf" in schema:
        parts = [type_of(part) for part in schema["anyOf"]]
        return Type(" or ".join(part.text for part in parts), next((part.link for part in parts if part.link), ""))
    if "enum" in schema:
        words = [str(word) for word in schema["enum"] if word is not None]
        text = f"one of {', '.join(words)}" + (" or null" if None in schema["enum"] else "")
        return Type(text + (f", by default {schema['default']}" if "default" in schema else ""))
    if schema.get("type") == "array":
        item = type_of(schema.get("items", {}))
        return Type(f"list of {item.text}", item.link)
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        value = type_of(schema["additionalProperties"])
        return Type(f"keys to {value.text}", value.link)
    text = str(schema.get("format") or schema.get("type") or "anything")
    default = schema.get("default")
    return Type(text if default is None else f"{text}, by default {json.dumps(default)}")


def _everywhere(document: Mapping[str, Any]) -> dict[str, str]:
    """Status to description of what every request may be answered with."""
    answers = (operation["responses"] for path in document["paths"].values() for operation in path.values())
    found = {status: one["description"] for all_ in answers for status, one in all_.items() if one.get(_EVERY)}
    return dict(sorted(found.items()))


def _family(tag: Mapping[str, str], document: Mapping[str, Any]) -> dict[str, Any]:
    operations = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if tag["name"] in operation["tags"]
    ]
    anchor = "family-" + "-".join(re.findall(r"\w+", tag["name"]))
    return {"anchor": anchor, "name": tag["name"], "description": tag["description"], "operations": operations}


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody")
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "deprecated": operation.get("deprecated", False),
        "role": operation["x-role"],
        "parameters": list(map(_parameter, operation.get("parameters", ()))),
        "body": _content(body) if body else None,
        "answers": [
            {"status": status, "description": answer["description"], **_content(answer)}
            for status, answer in operation["responses"].items()
            if not answer.get(_EVERY)
        ],
    }


def _parameter(parameter: Mapping[str, Any]) -> dict[str, str]:
    return {
        "name": parameter["name"],
        "place": parameter["in"],
        "type": type_of(parameter["schema"]).text,
        "description": parameter.get("description", ""),
    }


def _content(holder: Mapping[str, Any]) -> dict[str, Any]:
    """The type and example of a body; of what is no JSON the media type."""
    for media, content in holder.get("content", {}).items():
        example = content.get("example")
        shown = json.dumps(example, indent=2, ensure_ascii=False) if example is not None else ""
        known = type_of(content["schema"])
        return {"type": known if known.link else Type(media), "example": shown}
    return {"type": Type(""), "example": ""}


def _type(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "description": schema.get("description", ""), "fields": list(_fields(schema))}


def _fields(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, field in schema.get("properties", {}).items():
        yield {"name": name, "type": type_of(field)}
