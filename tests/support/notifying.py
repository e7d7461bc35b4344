"""All that stands between a failure and a person: a sidecar, Prometheus with the shipped rules, Alertmanager as
``alertmanager-config`` configures it, a mail server, and a receiver of Slack's webhooks. All real, on this machine.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import http.server
import json
import re
import shutil
import threading
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import yaml
from aiosmtpd.controller import Controller

from exporter.demo.processes import Child
from support.polling import until
from support.ports import free_port
from support.rules import RULES
from support.sidecar import HOST, Sidecar, request, run_command

ADMIN = {"Authorization": "Bearer admin-token", "Content-Type": "application/json"}
RUNBOOKS = "https://runbooks.company.example"
GRAFANA = "https://grafana.company.example"
#: Everything waits for this long at most: the machine may have other things to do.
PATIENCE = 180
#: Rules of production wait for minutes: these wait for seconds. What waits for long comes after what explains it.
SHORT, LONG = 120, 25
#: Seconds between two scrapes, and for one. One that fails ends alerts of which only the last value is asked, and they
#: are told again: on a busy machine a second is no failure yet.
SCRAPE = 3
_FOR = re.compile(r"^(\s+(?:for|keep_firing_for)): (\d+)([mh])$", re.MULTILINE)


@dataclass(frozen=True)
class Message:
    """What somebody was told; ``text`` is all of it. ``at`` is Unix seconds."""

    to: str
    title: str
    text: str
    at: float

    @property
    def over(self) -> bool:
        """Whether it says that something is over."""
        return "RESOLVED" in self.title


@dataclass
class Inbox:
    """Everything that arrived, in its order."""

    messages: list[Message] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)

    def about(self, what: str, to: str, *, over: bool = False, since: float = 0.0) -> list[Message]:
        """The messages whose title has ``what``."""
        found = list(self.messages)
        return [m for m in found if m.to == to and what in m.title and m.over is over and m.at > since]


class _Slack(http.server.BaseHTTPRequestHandler):
    """Takes incoming webhooks: the path's last part says whose."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        inbox: Inbox = self.server.inbox  # type: ignore[attr-defined]
        [attachment] = body["attachments"]
        inbox.posts.append(body)
        whole = "\n".join(str(attachment[key]) for key in ("title", "text", "footer"))
        inbox.messages.append(Message(self.path.rpartition("/")[2], attachment["title"], whole, time.time()))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


class Mailbox:
    """Takes mail, as aiosmtpd's handlers do."""

    def __init__(self, inbox: Inbox) -> None:
        self.inbox = inbox

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        plain, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
        assert plain is not None and html is not None
        self.inbox.mails.append(mail)
        text = plain.get_content() + html.get_content()
        self.inbox.messages.append(Message("mail", str(mail["Subject"]), text, time.time()))
        return "250 OK"


class Stack:
    """``start`` it with a sidecar's configuration; ``inbox`` is what people got."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.inbox = Inbox()
        self.alertmanager_port, self.prometheus_port, self.mail_port = free_port(), free_port(), free_port()
        self.slack = http.server.ThreadingHTTPServer((HOST, 0), _Slack)
        self.slack.inbox = self.inbox  # type: ignore[attr-defined]
        # Already now: ``stop`` would wait for ever for a server that never served.
        threading.Thread(target=self.slack.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.sidecar = Sidecar(directory / "sidecar", {})
        self._mail = Controller(Mailbox(self.inbox), hostname=HOST, port=self.mail_port, ready_timeout=PATIENCE)
        self._children: list[Child] = []

    def alerting(self) -> dict[str, Any]:
        """The section that this is made of: real sections, with the shortest times that make sense."""
        slack = f"http://{HOST}:{self.slack.server_port}/services"
        quick = {"group_wait": "1s", "group_interval": "2s"}
        return {
            "alertmanager": {"url": f"http://{HOST}:{self.alertmanager_port}"},
            "receiver": {"token": "receiver-token", "url": f"http://{HOST}:{self.sidecar.port}"},
            "slack": {"webhook_url": f"{slack}/slack", "channel": "#alerts"},
            "email": {
                "from": "scheduler@company.example",
                "to": ["alerts@company.example"],
                "smarthost": f"{HOST}:{self.mail_port}",
                "require_tls": False,
            },
            "on_call": {"slack": {"webhook_url": f"{slack}/on-call"}},
            "critical": quick,
            "warning": quick,
            "evaluation_interval": "1s",
            "escalate_after": "12s",
            "runbook_base": RUNBOOKS,
            "dashboard_base": GRAFANA,
        }

    def start(self, config: Mapping[str, Any]) -> None:
        """Start all of it around a sidecar with ``config``, and return once Prometheus has scraped it."""
        self._mail.start()
        self.sidecar.configure({**config, "environment": "production", "logging": {"level": "info", "format": "json"}})
        self.sidecar.start()
        done = run_command(
            "alertmanager-config", f"--config.file={self.sidecar.file}", f"--output={self.directory / 'alertmanager'}"
        )
        assert done.returncode == 0, done.stderr
        self._alertmanager()
        self._prometheus()
        until(lambda: self.query("up{job='scheduler-exporter'}") == 1, PATIENCE, "Prometheus scrapes the sidecar")

    def _alertmanager(self) -> None:
        self._run(
            "prometheus-alertmanager",
            f"--config.file={self.directory / 'alertmanager' / 'alertmanager.yml'}",
            f"--storage.path={self.directory / 'alertmanager-data'}",
            f"--web.listen-address={HOST}:{self.alertmanager_port}",
            "--web.external-url=http://alertmanager.company.example:9093/",
            "--web.route-prefix=/",
            "--cluster.listen-address=",
        )
        until(lambda: request(self.alertmanager_port, "/-/ready").status == 200, PATIENCE, "Alertmanager is ready")

    def _prometheus(self) -> None:
        rules = self.directory / "rules"
        impatient_rules(rules)
        config = {
            "global": {"scrape_interval": f"{SCRAPE}s", "scrape_timeout": f"{SCRAPE}s", "evaluation_interval": "1s"},
            "rule_files": [str(rules / folder / "*.yaml") for folder in ("alerts", "recording")],
            "alerting": {
                "alertmanagers": [{"static_configs": [{"targets": [f"{HOST}:{self.alertmanager_port}"]}]}],
            },
            "scrape_configs": [
                {
                    "job_name": "scheduler-exporter",
                    "static_configs": [
                        {"targets": [f"{HOST}:{self.sidecar.port}"], "labels": {"instance": "scheduler"}},
                    ],
                }
            ],
        }
        file = self.directory / "prometheus.yml"
        file.write_text(yaml.safe_dump(config))
        self._run(
            "prometheus",
            f"--config.file={file}",
            f"--storage.tsdb.path={self.directory / 'prometheus-data'}",
            f"--web.listen-address={HOST}:{self.prometheus_port}",
        )
        until(lambda: request(self.prometheus_port, "/-/ready").status == 200, PATIENCE, "Prometheus is ready")

    def _run(self, program: str, *arguments: str) -> None:
        child = Child(name=program, command=[program, *arguments], log=self.directory / f"{program}.log")
        child.start()
        self._children.append(child)

    def stop(self) -> None:
        """End all of it."""
        for child in reversed(self._children):
            child.stop()
        self.sidecar.cleanup()
        self.slack.shutdown()
        self.slack.server_close()
        with contextlib.suppress(RuntimeError):  # it was not started
            self._mail.stop()

    def query(self, expression: str) -> float | None:
        """An instant query's first value."""
        path = f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        result = request(self.prometheus_port, path).json["data"]["result"]
        return float(result[0]["value"][1]) if result else None

    def firing(self) -> list[dict[str, str]]:
        """The labels of what fires, as Prometheus has it."""
        alerts = request(self.prometheus_port, "/api/v1/alerts").json["data"]["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]

    def shown(self) -> list[dict[str, Any]]:
        """The active alerts, as the sidecar's API has them."""
        answer = self.sidecar.get("/api/scheduler-monitoring/alerts?limit=100", headers=ADMIN)
        assert answer.status == 200, answer.text
        return list(answer.json["items"])

    def silence(self, **labels: str) -> str:
        """Silence alerts through the sidecar's API; the silence's id."""
        matchers = [{"name": name, "value": value} for name, value in labels.items()]
        body = {"matchers": matchers, "durationMinutes": 5, "comment": "known"}
        answer = self.sidecar.get(
            "/api/scheduler-monitoring/alerts/suppress", method="POST", headers=ADMIN, body=json.dumps(body).encode()
        )
        assert answer.status == 201, answer.text
        return str(answer.json["silenceId"])

    def arrives(self, what: str, to: str, *, over: bool = False, since: float = 0.0) -> Message:
        """The first message about ``what``, once it is there."""
        told = "is over" if over else "fires"
        found = until(
            lambda: self.inbox.about(what, to, over=over, since=since), PATIENCE, f"{to} is told that {what} {told}"
        )
        return found[0]


def impatient_rules(directory: Path) -> None:
    """The shipped rules below ``directory``, as they are but for the times that they wait."""
    for file in (*RULES.glob("alerts/*.yaml"), *RULES.glob("recording/*.yaml")):
        target = directory / file.relative_to(RULES)
        target.parent.mkdir(parents=True, exist_ok=True)
        # A scrape has seconds: the machine may stand still for more, which is not told of the exporter here.
        shortened = _long if file.stem == "exporter" else _shortened
        target.write_text(_FOR.sub(shortened, file.read_text()).replace(" offset 1m)", " offset 5s)"))


def _long(found: re.Match[str]) -> str:
    return f"{found[1]}: {LONG}s"


def _shortened(found: re.Match[str]) -> str:
    key, number, unit = found[1], int(found[2]), found[3]
    seconds = number * (60 if unit == "m" else 3600)
    return f"{key}: {number if seconds <= SHORT else LONG}s"


@contextlib.contextmanager
def stack(directory: Path) -> Iterator[Stack]:
    """A :class:`Stack` that is not started yet, gone with the block."""
    made = Stack(directory)
    try:
        yield made
    finally:
        made.stop()


def installed() -> bool:
    """Whether Prometheus and Alertmanager are."""
    return all(shutil.which(name) for name in ("prometheus", "prometheus-alertmanager"))
