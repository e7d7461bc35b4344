"""``/openapi.json`` says what there is: every endpoint, its role, parameters, answers; and examples that are true."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from support.serving import World, extra, serving

from exporter.api import FAMILIES
from exporter.config.model import Auth, Config, Web
from exporter.httpd.endpoint import APPLICATION_JSON, Endpoint
from exporter.httpd.roles import Role
from exporter.pages.families import PAGES

ENDPOINTS = [endpoint for declare in (*FAMILIES, *PAGES) for endpoint in declare(World().context)]
NAMES = [f"{one.method} {one.path}" for one in ENDPOINTS]


async def document(world: World, **options: Any) -> dict[str, Any]:
    async with serving(world, **options) as (_, client), client.get("/openapi.json") as answer:
        assert answer.status == 200
        assert answer.content_type == APPLICATION_JSON
        found: dict[str, Any] = await answer.json()
        return found


async def test_every_endpoint_is_described_and_nothing_else() -> None:
    found = await document(World())
    assert found["openapi"] == "3.1.0"
    described = {(path, method.upper()) for path, methods in found["paths"].items() for method in methods}
    assert described == {(one.path, one.method) for one in ENDPOINTS}
    ids = [operation["operationId"] for methods in found["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids)
    for one in ENDPOINTS:
        operation = found["paths"][one.path][one.method.lower()]
        assert operation["x-role"] == one.role.name.lower()
        assert {int(status) for status in operation["responses"]} >= {*one.answers, *one.fails, 400, 401, 429, 500, 503}


async def test_every_reference_leads_somewhere() -> None:
    found = await document(World())
    references = [part.split('"')[0] for part in json.dumps(found).split('"$ref": "')[1:]]
    assert len(references) > 20
    for reference in references:
        assert reference.removeprefix("#/components/schemas/") in found["components"]["schemas"], reference


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=NAMES)
def test_examples_are_there_and_true(endpoint: Endpoint) -> None:
    given = [(answer.kind, answer.example) for answer in endpoint.answers.values() if answer.kind is not None]
    if endpoint.body is not None:
        given.append((endpoint.body, endpoint.body_example))
    assert {str(kind) for kind, _ in given} == {str(kind) for kind, example in given if example}, "give an example"
    for kind, example in given:
        # Strict both ways: nothing is missing, and nothing is there that the type does not have.
        shown = example() if example is not None else None
        kinds = kind if isinstance(kind, tuple) else (kind,)
        assert shown is None or any(fits(shown, one) for one in kinds)


def fits(shown: Any, kind: Any) -> bool:
    try:
        return bool(msgspec.to_builtins(msgspec.convert(shown, kind)) == shown)
    except msgspec.ValidationError:
        return False


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=NAMES)
def test_an_endpoint_says_what_it_is_for(endpoint: Endpoint) -> None:
    assert 5 <= len(endpoint.summary) <= 100
    assert not endpoint.summary.endswith(".")


@pytest.mark.parametrize(("auth", "free"), [(Auth(), {"read", "inside"}), (Auth(anonymous_read=True), {"read"})])
async def test_security_is_what_is_in_force(auth: Auth, free: set[str]) -> None:
    families = [
        extra("/api/read", None, role=Role.VIEWER),
        extra("/api/inside", None, role=Role.ADMIN),
        extra("/api/act", None, "POST", role=Role.ADMIN),
    ]
    config = Config(web=Web(listen_address=("127.0.0.1:0",)), auth=auth)
    paths = (await document(World(config=config), families=families))["paths"]
    for name, method in (("read", "get"), ("inside", "get"), ("act", "post")):
        security = paths[f"/api/{name}"][method]["security"]
        assert {"bearer": []} in security
        assert ({} in security) == (name in free)
    assert paths["/metrics"]["get"]["security"] == [{}]


async def test_the_page_shows_every_path_and_runs_nothing() -> None:
    async with serving(World()) as (_, client), client.get("/docs") as answer:
        page = await answer.text()
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    for word in ("<script", "http://", "https://", "src=", "@import", "url("):
        assert word not in page.replace("http://www.w3.org", "")
    for one in ENDPOINTS:
        assert f"<code>{one.path}</code>" in page
    assert "86.96%" in page  # an example
