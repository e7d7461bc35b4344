"""What the command writes, and says: files, secrets, remarks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path, PurePath

import pytest
import yaml
from alerting.conftest import EMAIL, ON_CALL, SLACK, TEAMS, TOKEN, WEBHOOK, Write, receiver, written
from support.amtool import check

from exporter.alerting import alertmanager_config
from exporter.cli import main
from exporter.config.load import load_text

SECRETS = ("slack-secret", "mail-secret", "webhook-secret", "pagerduty-secret", "receiver-secret")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_secrets_are_in_files_of_their_own(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    found = write(SLACK, EMAIL, WEBHOOK, ON_CALL, TEAMS, TOKEN)
    said = capsys.readouterr()
    shown = said.out + said.err + "".join(f.read_text() for f in (found, found / "templates") for f in f.glob("*.*"))
    assert [secret for secret in SECRETS if secret in shown] == []
    files = {file.name: file.read_text() for file in (found / "secrets").iterdir()}
    assert files == {
        "slack_url": "https://hooks.slack.com/services/slack-secret",
        "smtp_password": "mail-secret",
        "webhook_token": "webhook-secret",
        "on_call_routing_key": "pagerduty-secret",
        "receiver_token": "receiver-secret",
    }, "without line ends: Alertmanager 0.25 sends them"
    assert {mode(file) for file in (found / "secrets").iterdir()} == {0o600}
    assert mode(found / "secrets") == 0o700
    [slack] = receiver(found, "everybody")["slack_configs"]
    assert (slack["api_url_file"], slack["channel"]) == (str(found / "secrets" / "slack_url"), "#alerts")
    smtp = written(found)["global"]
    assert (smtp["smtp_smarthost"], smtp["smtp_from"]) == ("smtp.company.example:587", "scheduler@company.example")
    assert smtp["smtp_auth_password_file"] == str(found / "secrets" / "smtp_password")
    [mail] = receiver(found, "everybody")["email_configs"]
    assert mail["to"] == "alerts@company.example, more@company.example"
    everything = [
        config
        for made in written(found)["receivers"]
        for key, configs in made.items()
        if key != "name"
        for config in configs
    ]
    assert {config["send_resolved"] for config in everything} == {True}


def test_files_that_are_there_are_used_as_they_are(write: Write, tmp_path: Path) -> None:
    tmp_path.joinpath("slack-url").write_text("https://hooks.slack.com/services/slack-secret\n")
    found = write(
        {"slack": {"webhook_url": "${file:slack-url}"}},
        {"receiver": {"token_file": "/run/secrets/token", "url": "http://e"}},
        {"on_call": {"pagerduty": {"routing_key_file": "/run/secrets/key"}}},
        {"email": {"from": "a@b", "smarthost": "c:25", "to": ["d@e"], "username": "u", "password_file": "/run/pw"}},
    )
    check(found)
    assert not (found / "secrets").exists()
    assert receiver(found, "everybody")["slack_configs"][0]["api_url_file"] == str(tmp_path / "slack-url")
    assert receiver(found, "on-call")["pagerduty_configs"][0]["routing_key_file"] == "/run/secrets/key"
    assert written(found)["global"]["smtp_auth_password_file"] == "/run/pw"


def test_where_alertmanager_finds_secrets_can_be_said(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    found = write(SLACK, flags=("--secrets.path=/etc/alertmanager/secrets",))
    slack = receiver(found, "everybody")["slack_configs"][0]
    assert slack["api_url_file"] == "/etc/alertmanager/secrets/slack_url"
    assert (
        "/etc/alertmanager/secrets has to hold these files where Alertmanager runs: slack_url"
        in capsys.readouterr().err
    )


def test_a_webhook_of_slack_is_told_in_slacks_way(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    found = write({"webhook": {"url": "https://hooks.slack.com/services/x"}})
    assert receiver(found, "everybody").keys() == {"name", "slack_configs"}
    found = write(WEBHOOK)
    [webhook] = receiver(found, "everybody")["webhook_configs"]
    assert webhook["url"] == "http://hooks.company.example/alerts"
    assert mode(found / "alertmanager.yml") == 0o640, "the address may be a secret"


def test_the_scheduling_workers_variables_work(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = write({})
    assert receiver(found, "everybody").keys() == {"name"}
    assert "nobody is told: set alerting.slack, email or webhook" in capsys.readouterr().err
    file = found.parent / "config.yaml"
    whole = yaml.safe_load(file.read_text())
    whole["alerting"] = {"email": {"from": "a@b", "smarthost": "c:25"}}
    file.write_text(yaml.safe_dump(whole))
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "https://hooks.slack.com/services/x")
    monkeypatch.setenv("ALERT_EMAIL_TO", "one@c, two@c")
    assert main(["alertmanager-config", f"--config.file={file}", f"--output={found}"]) == 0
    check(found)
    everybody = receiver(found, "everybody")
    assert everybody["email_configs"][0]["to"] == "one@c, two@c"
    assert everybody["slack_configs"][0]["api_url_file"] == str(found / "secrets" / "webhook_slack_url")
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "no-address-secret")
    assert main(["alertmanager-config", f"--config.file={file}", f"--output={found}"]) == 1
    told = capsys.readouterr().err
    assert "ALERT_WEBHOOK_URL: expected an address" in told
    assert "no-address-secret" not in told


def test_it_is_printed_where_nothing_is_to_be_written(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    found = write(SLACK)
    capsys.readouterr()
    assert main(["alertmanager-config", f"--config.file={found.parent / 'config.yaml'}", "--output=-"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["receivers"][1]["slack_configs"][0]["api_url_file"] == "/etc/alertmanager/secrets/slack_url"


def test_it_is_written_anew_and_whole(write: Write) -> None:
    found = write(SLACK, EMAIL)
    before = written(found)
    (found / "secrets" / "slack_url").write_text("old")
    assert written(write(SLACK, EMAIL)) == before
    assert (found / "secrets" / "slack_url").read_text().endswith("slack-secret")
    assert [file.name for file in found.rglob(".*")] == []


def test_a_directory_that_cannot_be_written(write: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = write(SLACK).parent / "config.yaml"
    tmp_path.joinpath("file").write_text("")
    assert main(["alertmanager-config", f"--config.file={config}", f"--output={tmp_path / 'file'}"]) == 1
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("alerting", "told"),
    [
        ("{console: true}", "alerting.receiver.token: required with alerting.console"),
        (
            "{escalate_after: 20s, slack: {webhook_url: 'http://s'}, on_call: {slack: {channel: a}}}",
            "alerting.escalate_after: expected more than 35s (evaluation_interval 15s, critical.group_wait 15s, 5s to",
        ),
    ],
)
def test_what_cannot_work_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], alerting: str, told: str
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"stores: [{{name: a, dsn: host=h}}]\nalerting: {alerting}\n")
    assert main(["alertmanager-config", f"--config.file={file}", f"--output={tmp_path / 'out'}"]) == 1
    assert told in capsys.readouterr().err


def test_it_is_data_for_whoever_else_needs_it() -> None:
    text = "stores: [{name: a, dsn: host=h}]\nalerting: {slack: {webhook_url: 'http://s/slack-secret'}}\n"
    config = load_text(text, filename="c", environ={}, base_dir=Path())
    generated = alertmanager_config(config, secrets_directory=PurePath("/etc/secrets"))
    assert generated.config.keys() == {"global", "templates", "route", "inhibit_rules", "receivers"}
    assert generated.secrets["slack_url"].reveal() == "http://s/slack-secret"
    assert "slack-secret" not in repr(generated)


def test_the_exporter_is_looked_for_where_it_listens(tmp_path: Path) -> None:
    for web, expected in (
        ("", "http://127.0.0.1:9795"),
        ("web: {listen_address: [':9000']}", "http://127.0.0.1:9000"),
        ("web: {listen_address: ['[::1]:9000']}", "http://[::1]:9000"),
        ("api: {listen_address: '10.0.0.1:80'}", "http://10.0.0.1:80"),
    ):
        text = f"stores: [{{name: a, dsn: host=h}}]\nalerting: {{receiver: {{token: abcd}}}}\n{web}\n"
        config = load_text(text, filename="c", environ={}, base_dir=tmp_path)
        made = alertmanager_config(config, secrets_directory=PurePath("/s")).config["receivers"]
        [history] = [found for found in made if found["name"] == "history"]
        assert history["webhook_configs"][0]["url"] == f"{expected}/api/v1/alerts/webhook"


def test_a_real_alertmanager_reads_it_as_another_user(write: Write) -> None:
    """Whoever reads alertmanager.yml needs nothing else of ours but the templates beside it."""
    found = write(SLACK)
    assert mode(found / "alertmanager.yml") == 0o644
    done = subprocess.run(["amtool", "check-config", "alertmanager.yml"], cwd=found, check=False, capture_output=True)
    assert done.returncode == 0
    assert os.access(found / "templates" / "slack.tmpl", os.R_OK)
