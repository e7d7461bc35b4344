"""What nobody sends by accident, in every parameter of every endpoint, to a sidecar with a real store behind it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from fuzz.world import ADMIN, fuzzed
from support.sidecar import Response, Sidecar

INJECTIONS = [
    "' OR '1'='1", "1 OR 1=1", "1; DROP TABLE executions; --", "1'; SELECT pg_sleep(20); --", "\\'; SELECT 1; --",
    "1 UNION SELECT usename, passwd FROM pg_shadow", "$$; SELECT 1; $$", "%s %(x)s {0} {{7*7}}", "1)) OR ((1=1",
    '"; --',
]  # fmt: skip
#: Each is 4xx where a parameter is read, whatever it stands for; "%FF" is sent as it stands.
BROKEN = ["%00", "a%00b", "%FF", "%C3%28", "%ED%A0%80", "%0A", "a%0d%0aX-Injected:%201", "%1b[31m", "x" * 501, "%7F"]
#: What a database would say of itself, if a statement had been changed.
LEAKS = ("syntax error", "psycopg", "pg_", "SELECT", "Traceback", "postgres.", "/usr/lib")


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with fuzzed(Path(tmp_path_factory.mktemp("hostile"))) as running:
        yield running


@pytest.fixture(scope="module")
def document(sidecar: Sidecar) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sidecar.get("/openapi.json").body)
    return found


def parameters(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and one parameter of it, for every parameter in a path or query that is read."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if not operation.get("deprecated"):
                for parameter in operation.get("parameters", ()):
                    if parameter["in"] != "header":
                        yield method.upper(), path, parameter


def asked(sidecar: Sidecar, document: dict[str, Any], method: str, path: str, name: str, value: str) -> Response:
    """The answer when ``name`` is ``value`` (percent-encoded) and every other part of the path is in the document."""
    query = f"?{quote(name)}={value}"
    for parameter in document["paths"][path][method.lower()].get("parameters", ()):
        if parameter["in"] == "path":
            given = value if parameter["name"] == name else quote(str(parameter.get("example", "1")))
            query = "" if parameter["name"] == name else query
            path = path.replace(f"{{{parameter['name']}}}", given)
        elif parameter["required"] and parameter["name"] != name:
            query += f"&{quote(parameter['name'])}={quote(str(parameter.get('example', '1')))}"
    return sidecar.get(path + query, method=method, headers={"Authorization": f"Bearer {ADMIN}"}, timeout=15)


def said(answer: Response) -> str:
    """What an answer that refuses says: the JSON's ``error``, or a page's text."""
    if answer.headers["content-type"].startswith("application/json"):
        return str(json.loads(answer.body)["error"])
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    body = re.sub(r"(?s)<(style|script)\b.*?</\1>", "", answer.text)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_no_parameter_reaches_a_statement_as_sql(sidecar: Sidecar, document: dict[str, Any]) -> None:
    tried = 0
    for method, path, parameter in parameters(document):
        for text in INJECTIONS:
            answer = asked(sidecar, document, method, path, parameter["name"], quote(text, safe=""))
            where = f"{method} {path} {parameter['name']}={text}: {answer.status} {answer.text[:300]}"
            assert answer.status < 500, where
            if answer.status >= 400:
                assert not any(leak in said(answer).replace(text, "") for leak in LEAKS), where
            tried += 1
    assert tried > 100
    # Nothing is gone, nothing was waited for, nothing failed.
    assert asked(sidecar, document, "GET", "/api/system/stats", "period", "1h").status == 200
    assert [line for line in sidecar.events() if line.get("level") == "ERROR"] == []


def test_what_is_no_text_is_refused_by_name(sidecar: Sidecar, document: dict[str, Any]) -> None:
    for method, path, parameter in parameters(document):
        for text in BROKEN:
            answer = asked(sidecar, document, method, path, parameter["name"], text)
            where = f"{method} {path} {parameter['name']}={text[:20]}: {answer.status} {answer.text[:200]}"
            assert 400 <= answer.status < 500, where
            assert "x-injected" not in answer.headers
            assert said(answer), where
            if parameter["in"] == "query":
                assert answer.status == 400, where
                assert f"{parameter['name']}: expected " in said(answer), where


def test_numbers_that_are_none(sidecar: Sidecar, document: dict[str, Any]) -> None:
    numbers = [found for found in parameters(document) if found[2]["schema"].get("type") == "integer"]
    assert numbers
    for method, path, parameter in numbers:
        for text in ("-1", "", "1.5", "1e3", "0x10", "%20%2B1", "\u0661", "NaN", "-" + "9" * 400, "true"):
            answer = asked(sidecar, document, method, path, parameter["name"], quote(text, safe="%"))
            assert answer.status == 400, (path, parameter["name"], text)
        clamped = asked(sidecar, document, method, path, parameter["name"], "9" * 400).status
        assert clamped == (400 if "maximum" in parameter["schema"] else 200), (path, parameter["name"])


#: No JSON, no UTF-8, null characters, half a surrogate pair, the wrong kind, too deep, too long.
BODIES = [
    b"", b"{", b"null", b"[]", b"17", b'"x"', b"\xff\xfe{}", b'{"jobId": "\xc3\x28"}', b'{"jobId": "a\\u0000b"}',
    b'{"jobId": "\\ud800"}', b'{"jobId": {"a": 1}}', b'{"jobId": ""}', b'{"jobId": "' + b"x" * 5000 + b'"}',
    b"[" * 9000, b'{"a":' * 5000, b'{"durationMinutes": 1e400}', b"{}" * 40_000,
]  # fmt: skip


def test_bodies_that_mean_nothing(sidecar: Sidecar, document: dict[str, Any]) -> None:
    posts = [path for path, methods in document["paths"].items() if "requestBody" in methods.get("post", {})]
    assert posts
    for path in posts:
        for media in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            for body in BODIES:
                headers = {"Authorization": f"Bearer {ADMIN}", "Content-Type": media}
                answer = sidecar.get(path, method="POST", headers=headers, body=body)
                assert 400 <= answer.status < 500, (path, media, body[:40], answer.status, answer.text)
                assert said(answer)


def test_no_line_of_the_log_is_made_by_a_client(sidecar: Sidecar) -> None:
    forged = '{"level": "error", "message": "forged"}'
    for path in (
        f"/api/jobs/{quote(chr(10) + forged)}",
        f"/{quote(chr(13) + chr(10) + forged)}",
        f"/x?y=%0A{quote(forged)}",
    ):
        sidecar.get(path, headers={"Authorization": f"Bearer {ADMIN}", "User-Agent": forged, "Referer": forged})
    sidecar.get("/api/system/stats", headers={"Authorization": f"Bearer {forged}", "X-Request-Id": "a b " + forged})
    assert sidecar.events("forged") == []
    written, _, _half_a_line = sidecar.log.rpartition("\n")
    for line in written.splitlines():
        assert json.loads(line)["message"] != "forged"
