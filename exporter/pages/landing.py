"""The page at ``/``: what this is, where everything is, and whether stores and targets answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from exporter.config.model import Config
from exporter.connections.results import ConnectionState
from exporter.snapshot import Hub, Part, Snapshot

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True, slots=True)
class Row:
    """A store or a target. ``up`` is None before the first answer; ``age``: seconds since a success."""

    name: str
    up: bool | None
    age: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """Makes the page; ``Context.landing`` is an instance of this."""

    hub: Hub
    config: Callable[[], Config]
    version: str

    def __call__(self) -> str:
        """The page as HTML, from the snapshot of this moment."""
        config, snapshot, now = self.config(), self.hub.current, time.time()
        return _template().render(
            version=self.version,
            telemetry_path=config.web.telemetry_path,
            stores=[store_row(store.name, snapshot, now) for store in config.stores],
            targets=[target_row(target.name, snapshot, now) for target in config.connections.targets],
        )


def store_row(name: str, snapshot: Snapshot, now: float) -> Row:
    """A store is up when the latest attempt of every collector on it succeeded."""
    parts = [
        part for (collector, source), part in snapshot.parts.items() if source == name and collector != "connections"
    ]
    successes = [part.collected_at for part in parts if part.collected_at is not None]
    return Row(
        name,
        all(part.success for part in parts) if parts else None,
        max(0.0, now - max(successes)) if successes else None,
    )


def target_row(name: str, snapshot: Snapshot, now: float) -> Row:
    """A target is up when its latest check reached the end and is not stale."""
    part: Part | None = snapshot.part("connections", name)
    state = part.value if part is not None else None
    if part is None or not isinstance(state, ConnectionState) or state.result is None:
        return Row(name, None, None)
    up = state.result.is_healthy and part.fresh(time.monotonic())
    return Row(name, up, None if state.last_success is None else max(0.0, now - state.last_success))


@cache
def _template() -> Template:
    # Imported with the first visitor: a sidecar that is only scraped does without its two megabytes.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("exporter.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("landing.html.j2")
