"""Reading configurations from text in tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config.load import load_text
from exporter.config.model import Config
from exporter.errors import ConfigError

Load = Callable[..., Config]
Problems = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """``load(text, VAR="value")``: the configuration, files relative to ``tmp_path``."""

    def read(text: str, /, **environ: str) -> Config:
        return load_text(text, filename="c.yaml", environ=environ, base_dir=tmp_path)

    return read


@pytest.fixture
def problems(load: Load) -> Problems:
    """``problems(text, VAR="value")``: the lines with which the configuration is refused."""

    def refuse(text: str, /, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, **environ)
        return caught.value.problems

    return refuse
