"""The effective configuration as YAML, for ``/config``: with defaults, references expanded, secrets hidden.

What is secret is told by its type: ``Secret``, and the secret parameters of a ``Dsn``.
"""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from exporter.config.dsn import redact_dsn
from exporter.config.durations import format_duration
from exporter.config.model import Config, Dsn, Duration
from exporter.config.secrets import REDACTED, Secret


def redacted(config: Config) -> str:
    """YAML text with ``<secret>`` for each secret and durations as ``15s``."""
    return yaml.dump(_shown(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _shown(value: Any) -> Any:
    shown = value
    match value:
        case Secret():
            shown = REDACTED
        case Dsn():
            shown = redact_dsn(value)
        case Duration():
            shown = format_duration(value)
        case msgspec.Struct():
            names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
            shown = {key: _shown(getattr(value, name)) for key, name in names}
        case dict():
            shown = {key: _shown(item) for key, item in value.items()}
        case tuple():
            shown = [_shown(item) for item in value]
    return shown


class _Dumper(yaml.SafeDumper):
    """Writes SQL the way people do, in a block, and repeats equal values in place of aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Always: an alias means nothing to a person who looks for a value."""
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """A scalar, as a literal block where there is more than one line."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_text)
