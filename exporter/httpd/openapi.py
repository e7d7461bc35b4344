"""``/openapi.json``: a document in OpenAPI 3.1, made from the endpoints that a listener serves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from exporter.httpd.bodies import FORM
from exporter.httpd.docstrings import put_back_docstrings
from exporter.httpd.endpoint import APPLICATION_JSON, Answer, Endpoint
from exporter.httpd.params import MAX_REPEATED, Parameter, parameters_of
from exporter.httpd.roles import Role

_PLACE: Final = re.compile(r"\{(\w+)\}")
_REF: Final = "#/components/schemas/{name}"
#: Marks the answers that every request may get.
EVERY: Final = "x-every-request"
#: What may become of any request, whatever it asks for; in the envelope of the endpoint's family.
_ANY: Final = {
    400: "The request, or a parameter of it, means nothing; the text names it and says what was expected",
    401: "A credential is needed, or the one that was sent is wrong",
    429: "Too many requests of this client, or of all",
    500: "A fault of the exporter; the log has more under the same request id",
    503: "What the answer needs is not there at present",
}
_OTHER: Final = {
    403: "The role does not do, this is not enabled, or another site's page sent the request",
    404: "No such path, store, job or whatever the path or a parameter names",
    408: "The body took too long",
    409: "What is there already is in the way",
    413: "The body is too large",
    415: "The body is of another media type, or packed",
}
_HEADERS: Final = {
    401: {"WWW-Authenticate": "The schemes that are taken"},
    429: {"Retry-After": "Seconds until another request may pass"},
}
_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of auth.tokens"},
    "basic": {"type": "http", "scheme": "basic", "description": "A user of web.config_file: an admin"},
}


def document(endpoints: Sequence[Endpoint], *, version: str, anonymous: Role | None) -> dict[str, Any]:
    """The document as plain data. ``anonymous``: what is done without a credential at present."""
    kinds = _kinds(endpoints)
    put_back_docstrings("exporter")
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    for component in components.values():
        if "description" in component:  # a docstring, indented as the source is
            component["description"] = inspect.cleandoc(component["description"])
    schema_of = dict(zip(map(id, kinds), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        operation = _operation(endpoint, schema_of, anonymous)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    families = {endpoint.family.name: endpoint.family.description for endpoint in endpoints}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "scheduler-exporter",
            "version": version,
            "description": "Metrics, state and history of job schedulers. Unknown is null; no key is ever missing.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in families.items()],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


def _kinds(endpoints: Sequence[Endpoint]) -> list[Any]:
    """Every type that a body is made from, each once, in the order of the endpoints."""
    found: dict[int, Any] = {}
    for endpoint in endpoints:
        kinds: tuple[Any, ...] = (endpoint.family.envelope, endpoint.body)
        for answer in endpoint.answers.values():
            kinds = (*kinds, *_kinds_of(answer))
        found |= {id(kind): kind for kind in kinds if kind is not None}
    return list(found.values())


def _operation(endpoint: Endpoint, schema_of: Mapping[int, Any], anonymous: Role | None) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(endpoint),
        "tags": [endpoint.family.name],
        "summary": endpoint.summary,
        "description": endpoint.description,
        "deprecated": endpoint.deprecated,
        "parameters": _parameters(endpoint),
        "security": _security(endpoint, anonymous),
        "x-role": endpoint.role.name.lower(),
    }
    if endpoint.body is not None:
        schema = schema_of[id(endpoint.body)]
        media = _media(
            {"allOf": [schema, endpoint.body_rules]} if endpoint.body_rules else schema, endpoint.body_example
        )
        operation["requestBody"] = {"required": True, "content": {FORM if endpoint.form else APPLICATION_JSON: media}}
    operation["responses"] = _responses(endpoint, schema_of)
    return {name: value for name, value in operation.items() if value or name == "security"}


def _operation_id(endpoint: Endpoint) -> str:
    words = re.findall(r"[A-Za-z0-9]+", f"{endpoint.method.lower()} {endpoint.path}")
    return "_".join(words)


def _security(endpoint: Endpoint, anonymous: Role | None) -> list[dict[str, list[str]]]:
    """The schemes that do, and the empty one where none is needed."""
    acts = endpoint.method != "GET" and endpoint.role is not Role.ANYONE
    free = anonymous is not None and anonymous >= endpoint.role and not acts
    asked = endpoint.role is not Role.ANYONE or anonymous is None
    schemes: list[dict[str, list[str]]] = [{name: []} for name in _SCHEMES if asked]
    return [*schemes, {}] if free else schemes


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    known = parameters_of(endpoint.params)
    # What moved leaves the reading of its path to where that leads.
    rest = [name for name in _PLACE.findall(endpoint.path) if name not in {one.name for one in known}]
    unread = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in rest]
    headers = [
        {"name": name, "in": "header", "required": False, "schema": schema, "description": schema["description"]}
        for name, schema in endpoint.reads_headers.items()
    ]
    return [*unread, *(_parameter(one, endpoint.path) for one in known), *headers]


def _parameter(parameter: Parameter, path: str) -> dict[str, Any]:
    place = "path" if parameter.name in _PLACE.findall(path) else "query"
    schema: dict[str, Any] = dict(parameter.kind.schema)
    if parameter.repeated:
        schema = {"type": "array", "items": schema, "maxItems": MAX_REPEATED}
    if not parameter.required and place == "query" and parameter.default not in (None, ()):
        schema["default"] = parameter.default
    return {
        "name": parameter.name,
        "in": place,
        "required": place == "path" or parameter.required,
        "description": parameter.description or f"Expected: {parameter.kind.expected}",
        "schema": schema,
        **({"example": parameter.example} if parameter.example is not None else {}),
    }


def _responses(endpoint: Endpoint, schema_of: Mapping[int, Any]) -> dict[str, Any]:
    found = {str(status): _answer(answer, schema_of) for status, answer in endpoint.answers.items()}
    for status in sorted({*_ANY, *endpoint.fails, *_implied(endpoint)}):
        text = _ANY.get(status) or _OTHER.get(status) or HTTPStatus(status).phrase
        refusal: dict[str, Any] = {
            "description": text,
            "content": {APPLICATION_JSON: {"schema": schema_of[id(endpoint.family.envelope)]}},
        }
        if endpoint.family.refuse is not None:
            refusal["content"]["text/html"] = {"schema": {"type": "string"}}
        if status in _ANY and status not in endpoint.fails:
            refusal[EVERY] = True
        headers = _HEADERS.get(status, {})
        if headers:
            refusal["headers"] = {
                name: {"description": told, "schema": {"type": "string"}} for name, told in headers.items()
            }
        found.setdefault(str(status), refusal)
    return dict(sorted(found.items()))


def _implied(endpoint: Endpoint) -> set[int]:
    """Statuses that follow from what the endpoint is."""
    implied = {403} if endpoint.role is not Role.ANYONE or endpoint.method != "GET" else set[int]()
    if "{" in endpoint.path:
        implied.add(404)
    if endpoint.method != "GET":
        implied |= {408, 413, 415}
    return implied


def _answer(answer: Answer, schema_of: Mapping[int, Any]) -> dict[str, Any]:
    schemas = [schema_of[id(kind)] for kind in _kinds_of(answer)]
    json = schemas[0] if len(schemas) == 1 else {"anyOf": schemas} if schemas else {}
    content = {
        media: _media(json, answer.example) if media == APPLICATION_JSON else {"schema": {"type": "string"}}
        for media in answer.media
    }
    return {"description": answer.description, **({"content": content} if content else {})}


def _kinds_of(answer: Answer) -> tuple[Any, ...]:
    return answer.kind if isinstance(answer.kind, tuple) else () if answer.kind is None else (answer.kind,)


def _media(schema: Any, example: Any) -> dict[str, Any]:
    return {"schema": schema, "example": example()} if example is not None else {"schema": schema}
