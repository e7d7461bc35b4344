"""A page as a test reads it: parsed, by its sections."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from html.parser import HTMLParser

from exporter.config.model import Config, Connections, Dsn, PostgresStore, Target, Web
from exporter.connections.results import CheckResult, ConnectionState, ServerFacts
from support.parts import part
from support.serving import World, serving

_VOID = {"meta", "link", "input", "br"}


class Read(HTMLParser):
    """Texts by the section (the nearest id) that they are in; attributes of every element; elements as they nest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.sections: dict[str, str] = {}
        self._open: list[tuple[str, str | None]] = []
        self.feed(html)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append((tag, dict(attrs).get("id")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag, f"</{tag}> where <{opened}> is open, at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if any(tag in ("style", "script") for tag, _ in self._open):
            return
        for _, name in self._open:
            if name is not None:
                self.sections[name] = f"{self.sections.get(name, '')} {data}"

    def text(self, section: str = "page") -> str:
        """What is read there, blanks folded."""
        return re.sub(r"\s+", " ", self.sections.get(section, "")).strip()

    def links(self) -> list[str]:
        """Where its links lead."""
        return [attrs["href"] or "" for tag, attrs in self.elements if tag == "a"]

    def forms(self, action: str) -> list[dict[str, str]]:
        """The hidden fields of each form that is sent to ``action``."""
        found: list[dict[str, str]] = []
        inside = False
        for tag, attrs in self.elements:
            if tag == "form":
                inside = attrs.get("action") == action
                if inside:
                    found.append({})
            elif tag == "input" and inside and attrs.get("type") == "hidden":
                found[-1][attrs["name"] or ""] = attrs["value"] or ""
        return found


async def visit(world: World, path: str = "/", headers: Mapping[str, str] | None = None) -> Read:
    """The page at ``path``."""
    async with serving(world) as (_, client), client.get(path, headers=headers) as answer:
        text = await answer.text()
        assert answer.status == 200, text
        return Read(text)


def seconds_ago(text: str, before: str, least: int) -> bool:
    """Whether an age (s) of at least so many stands behind ``before``: of more where the machine stood still."""
    found = re.search(rf"{re.escape(before)} (\d+) s ago", text)
    return found is not None and least <= int(found[1]) < 60


def connection(name: str, result: str = "ok", failed_stage: str | None = None, *, ago: float = 7.0) -> ConnectionState:
    """A target that was checked once."""
    check = CheckResult(
        result=result,  # type: ignore[arg-type]
        finished_at=time.time() - ago,
        response_seconds=0.1,
        stages={"dns": 0.01, "tcp": 0.02},
        failed_stage=failed_stage,  # type: ignore[arg-type]
        error_message=None if result == "ok" else "password authentication failed for user bob",
        facts=ServerFacts(server_version="18.1", role="replica") if result == "ok" else None,
    )
    return ConnectionState(id=name, name=name, host="db.internal", port=5432, database="shop").after(check)


def world_of(*stores: str, targets: Mapping[str, ConnectionState | None] | None = None, **sections: object) -> World:
    """A world with these stores and targets; what is known of them is the test's to publish."""
    config = Config(
        web=Web(listen_address=("127.0.0.1:0",)),
        stores=tuple(PostgresStore(name=name, dsn=Dsn("postgres://x")) for name in stores),
        connections=Connections(targets=tuple(Target(name=name, host="db.internal") for name in targets or {})),
        **sections,  # type: ignore[arg-type]
    )
    world = World(config=config)
    for name, state in (targets or {}).items():
        if state is not None:
            world.hub.publish(part("connections", state, source=name))
    return world
