"""Secrets leave the configuration as files: where each is for Alertmanager, and which have to be put there."""

from __future__ import annotations

from pathlib import PurePath

import msgspec

from exporter.config.references import FileReference, written
from exporter.config.secrets import Secret


class SecretFiles(msgspec.Struct):
    """``texts``: files to write below ``directory``, by name; ``missing``: those that somebody else has to put there.

    ``directory`` is as Alertmanager sees it.
    """

    directory: PurePath
    texts: dict[str, Secret] = msgspec.field(default_factory=dict)
    missing: dict[str, str] = msgspec.field(default_factory=dict)

    def path(self, name: str, secret: Secret | None, file: str | None) -> str | None:
        """The file that holds a secret: one that the configuration names, or ``name`` below ``directory``."""
        if file is not None or secret is None:
            return file
        template = secret.template
        if template is not None and len(template) == 1 and isinstance(template[0], FileReference):
            return template[0].path
        path = str(self.directory / name)
        if template is None:
            self.texts[name] = secret
        else:
            self.missing[path] = written(template)
        return path
