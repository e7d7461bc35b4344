"""Commands that ask no Vault, and a file whose values are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.cli import main

VAULT = "vault: {address: 'http://127.0.0.1:8200', auth: {method: token, token: x}}\n"
STORES = "stores: [{name: main, dsn: 'postgresql://h/x'}]\n"
IN_VAULT = "'${vault:secret/data/x#f}'"
STORE = "stores: [{name: main, dsn: 'postgresql://h/x', %s}]\n"
OPEN = [
    f"environment: {IN_VAULT}\n",
    f"web: {{config_file: {IN_VAULT}}}\n",
    f"web: {{listen_address: [{IN_VAULT}]}}\n",
    f"web: {{listen_address: {IN_VAULT}}}\n",
    f"api: {{listen_address: [{IN_VAULT}]}}\n",
    f"auth: {{tokens: [{{name: {IN_VAULT}, role: admin, token: {IN_VAULT}}}]}}\n",
    f"packs: [{IN_VAULT}]\n",
    f"packs: [{{pack: {IN_VAULT}}}]\n",
    f"packs: [{{pack: scheduling-worker, stores: [{IN_VAULT}]}}]\n",
    f"state: {{path: {IN_VAULT}}}\n",
    f"alerting: {{slack: {{channel: {IN_VAULT}, webhook_url: {IN_VAULT}}}}}\n",
    STORE % f"profile: {IN_VAULT}",
    STORE % f"profile: procrastinate, parameters: {{schema: {IN_VAULT}}}",
    STORE % f"profile: {{name: own, jobs: {IN_VAULT}}}",
    STORE % f"kind: {IN_VAULT}",
    STORE.replace("main", IN_VAULT) % "profile: procrastinate" + "packs: [scheduling-worker]\n",
]


def written(directory: Path, text: str) -> str:
    """The configuration file, with a store and a Vault where ``text`` has none."""
    file = directory / "c.yaml"
    file.write_text(VAULT + text + ("" if text.startswith("stores:") else STORES))
    return str(file)


@pytest.mark.parametrize("text", OPEN)
def test_a_check_leaves_open_what_only_vault_knows(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, text)
    assert main(["serve", "--config.check", f"--config.file={file}"]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out == f"{file}: valid; 1 store, 0 targets\n"


def test_a_check_judges_the_stores_and_packs_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = (f"{{name: {name}, dsn: 'postgresql://h/x', profile: {profile}}}"
                for name, profile in (("open", IN_VAULT), ("wrong", "quarz")))  # fmt: skip
    file = written(tmp_path, f"stores: [{one}, {two}]\npacks: [scheduling-worke]\n")
    assert main(["serve", "--config.check", f"--config.file={file}"]) == 1
    profile, pack = capsys.readouterr().err.splitlines()
    assert profile.startswith(f"{file}: stores[1].profile: no profile is named 'quarz'")
    assert pack.startswith(f"{file}: packs[0]: no pack is named")


def test_a_command_that_needs_the_value_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = f"alerting: {{slack: {{channel: {IN_VAULT}, webhook_url: {IN_VAULT}}}}}\nstate: {{path: {IN_VAULT}}}\n"
    file = written(tmp_path, text)
    assert main(["alertmanager-config", f"--config.file={file}", f"--output={tmp_path / 'out'}"]) == 1
    assert capsys.readouterr().err == (
        f"{file}: alerting.slack.channel: is in Vault, which this command does not ask; write it into the file, or as"
        " ${NAME} of the environment\n"
    )
    assert main(["state", "show", f"--config.file={file}"]) == 1
    assert capsys.readouterr().err == (
        f"{file}: state.path: is in Vault, which this command does not ask; give the directory by --state.path\n"
    )
