"""The files: ``alertmanager.yml`` with what stands beside it, templates, secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from exporter import __version__
from exporter.alerting.assembly import Generated
from exporter.config.model import Config
from exporter.errors import ExporterError

if TYPE_CHECKING:
    from jinja2 import Environment

FILE: Final = "alertmanager.yml"
SECRETS: Final = "secrets"
_TEMPLATES: Final = ("scheduling.tmpl", "slack.tmpl", "email.tmpl")
#: So many alerts of one message are told in full.
MOST: Final = 10
_SHARED, _PRIVATE, _SECRET = 0o644, 0o640, 0o600


def write(config: Config, generated: Generated, directory: Path) -> list[Path]:
    """Write all of it below ``directory``; what was written, in its order. Raises ExporterError."""
    files = [
        (directory / FILE, text(config, generated), _PRIVATE if generated.private else _SHARED),
        *((directory / "templates" / name, content, _SHARED) for name, content in templates(config).items()),
        *((directory / SECRETS / name, secret.reveal(), _SECRET) for name, secret in generated.secrets.items()),
    ]
    try:
        for path, content, mode in files:
            path.parent.mkdir(mode=0o700 if mode == _SECRET else 0o755, parents=True, exist_ok=True)
            _replace(path, content, mode)
    except OSError as error:
        raise ExporterError(f"cannot write {error.filename or directory}: {error.strerror}") from error
    return [path for path, _, _ in files]


def _replace(path: Path, content: str, mode: int) -> None:
    """Whole or not at all: Alertmanager may be reading it."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(content)
    new.replace(path)


def text(config: Config, generated: Generated) -> str:
    """``alertmanager.yml``, with comments."""
    parts = {name: _yaml({name: value}) for name, value in generated.config.items()}
    template = _environment().get_template(f"{FILE}.j2")
    return template.render(
        parts=parts, environment=config.setting, version=__version__, escalation=_escalates(generated.config)
    )


def templates(config: Config) -> dict[str, str]:
    """The templates' files by name."""
    alerting = config.alerting
    values = {
        "most": MOST,
        "links": [
            ("Runbook", "runbook_url", _literal(alerting.runbook_base)),
            ("Dashboard", "dashboard_url", _literal(alerting.dashboard_base)),
        ],
    }
    return {name: _environment().get_template(f"{name}.j2").render(values) for name in _TEMPLATES}


def _escalates(config: Mapping[str, Any]) -> bool:
    return any(route.get("continue") and route.get("matchers") for route in config["route"]["routes"])


def _literal(address: str | None) -> str | None:
    """Within a template of Go's: braces would begin an action."""
    return None if address is None else address.replace("{", "%7B").replace("}", "%7D")


def _yaml(data: Mapping[str, Any]) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110).rstrip("\n")


class _Dumper(yaml.SafeDumper):
    """Indents lists, and repeats equal values in place of aliases, as people write such files."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Always."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002 - as above
        """Lists stand deeper than their key."""
        super().increase_indent(flow, False)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - the command's users alone pay

    return Environment(
        loader=PackageLoader("exporter.alerting"),
        undefined=StrictUndefined,
        # Go's templates have the braces.
        block_start_string="[%",
        block_end_string="%]",
        variable_start_string="[[",
        variable_end_string="]]",
        comment_start_string="[#",
        comment_end_string="#]",
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - no HTML comes from here: Alertmanager's html/template escapes
    )
