"""What is left out of the imports stays out, is what it was for everybody else, and nobody is warned of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exporter.imports import environment, without


def _told(program: str, **variables: str) -> Any:
    """What a new interpreter, in which each warning is an error, prints as JSON last."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_vaults_client_comes_without_what_guesses_encodings() -> None:
    program = (
        "import json, sys, exporter.vault.transport, requests\n"
        "loaded = sorted({'chardet', 'charset_normalizer', 'rich'} & sys.modules.keys())\n"
        "answer = requests.Response()\n"
        "answer._content = 'größer'.encode()\n"
        "import charset_normalizer\n"
        "print(json.dumps([loaded, answer.text, charset_normalizer.__name__]))"
    )
    assert _told(program) == [[], "größer", "charset_normalizer"]


def test_the_server_comes_without_the_systems_certificates(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("{stores: [{name: main, profile: native, dsn: 'host=localhost dbname=jobs'}]}\n")
    program = (
        "import json, ssl, sys, exporter.cli\n"
        f"status = exporter.cli.main(['serve', '--config.check', '--config.file', {str(file)!r}])\n"
        "import aiohttp.connector\n"
        "empty = aiohttp.connector._SSL_CONTEXT_VERIFIED.cert_store_stats()['x509_ca']\n"
        "print(json.dumps([status, empty, ssl.create_default_context().cert_store_stats()['x509_ca'] > 0]))"
    )
    assert _told(program) == [0, 0, True]


def test_a_module_that_is_there_already_stays() -> None:
    with without("json", "no_such_module"):
        assert sys.modules["json"] is json
        with pytest.raises(ImportError):
            __import__("no_such_module")
    assert sys.modules["json"] is json
    assert "no_such_module" not in sys.modules


@pytest.mark.parametrize("before", [None, "as it was"])
def test_the_environment_is_what_it_was(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.delenv("A_VARIABLE", raising=False)
    if before is not None:
        monkeypatch.setenv("A_VARIABLE", before)
    with pytest.raises(ImportError), environment("A_VARIABLE", "meanwhile"):
        assert os.environ["A_VARIABLE"] == "meanwhile"
        raise ImportError
    assert os.environ.get("A_VARIABLE") == before
