"""Who has no Vault does not pay for its client."""

from __future__ import annotations

import subprocess
import sys

CHECK = """
import sys
import exporter.app, exporter.cli
print(sorted({"hvac", "requests", "urllib3"} & sys.modules.keys()))
"""


def test_without_vault_its_client_is_not_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
