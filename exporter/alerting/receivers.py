"""Receivers: for each one who is told, by Slack, mail, webhook, PagerDuty, or the exporter's log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from exporter.alerting.secret_files import SecretFiles
from exporter.config.alerting import Alerting, MailTo, OnCall, Pagerduty, Slack, Team, Webhook
from exporter.config.expand import read_file
from exporter.config.references import FileReference, VaultReference, filled
from exporter.config.secrets import Secret

Receiver = dict[str, Any]
NOBODY: Final = "nobody"
EVERYBODY: Final = "everybody"
ON_CALL: Final = "on-call"
HISTORY: Final = "history"
#: Where Alertmanager tells the exporter, and where it has that printed too.
TOLD: Final = "/api/v1/alerts/webhook"
PRINTED: Final = f"{TOLD}?console=true"
_SLACK: Final = ("hooks.slack.com", "hooks.slack-gov.com")
_SLACK_TEXTS: Final = ("color", "title", "title_link", "text", "fallback", "footer")


def team_receiver(team: Team) -> str:
    """What a team is called in routes."""
    return f"team-{team.name}"


def team_on_call(team: Team) -> str:
    """What those of a team are called who are on call."""
    return f"team-{team.name}-{ON_CALL}"


class Receivers:
    """Makes receivers; ``own`` is the exporter's address as Alertmanager reaches it."""

    def __init__(self, alerting: Alerting, files: SecretFiles, own: str) -> None:
        self._alerting = alerting
        self._files = files
        self._own = own

    def everybody(self, *, notify: bool, console: bool) -> Receiver:
        """Whoever is told where no team is."""
        alerting = self._alerting
        mail = alerting.email.to if alerting.email is not None else ()
        told = Team(
            name=EVERYBODY,
            slack=alerting.slack,
            email=MailTo(to=mail) if mail else None,
            webhook=alerting.webhook,
        )
        return self._receiver(EVERYBODY, told if notify else None, console=console)

    def on_call(self, *, notify: bool, console: bool) -> Receiver:
        """Whoever is on call for all."""
        return self._receiver(ON_CALL, self._alerting.on_call if notify else None, console=console)

    def team(self, team: Team, *, console: bool) -> Receiver:
        """A team."""
        return self._receiver(team_receiver(team), team, console=console)

    def team_on_call(self, team: Team, *, console: bool) -> Receiver:
        """Those of a team who are on call."""
        return self._receiver(team_on_call(team), team.on_call, console=console)

    def history(self) -> Receiver:
        """The exporter, which keeps what it is told."""
        return {"name": HISTORY, "webhook_configs": [self._exporter(TOLD)]}

    def smtp(self) -> dict[str, Any]:
        """The mail server, for ``global``."""
        email = self._alerting.email
        if email is None:
            return {}
        found: dict[str, Any] = {"smtp_smarthost": email.smarthost, "smtp_from": email.sender}
        if email.username is not None:
            found["smtp_auth_username"] = email.username
            found["smtp_auth_password_file"] = self._files.path("smtp_password", email.password, email.password_file)
        return {**found, "smtp_require_tls": email.require_tls}

    def _receiver(self, name: str, told: Team | OnCall | None, *, console: bool) -> Receiver:
        receiver: Receiver = {"name": name}
        slack: list[dict[str, Any]] = []
        webhooks: list[dict[str, Any]] = []
        if told is not None:
            if told.slack is not None:
                slack.append(self._slack(name, told.slack))
            if told.webhook is not None:
                as_slack = _as_slack(told.webhook)
                if as_slack is not None:
                    slack.append(self._slack(f"{name}_webhook", as_slack))
                else:
                    webhooks.append(self._webhook(name, told.webhook))
            if told.email is not None:
                receiver["email_configs"] = [_mail(told.email)]
            if isinstance(told, OnCall) and told.pagerduty is not None:
                receiver["pagerduty_configs"] = [self._pagerduty(name, told.pagerduty)]
        if console:
            webhooks.append(self._exporter(PRINTED))
        if slack:
            receiver["slack_configs"] = slack
        if webhooks:
            receiver["webhook_configs"] = webhooks
        return receiver

    def _slack(self, name: str, slack: Slack) -> dict[str, Any]:
        inherited = self._alerting.slack or Slack()
        if slack.webhook_url is None and slack.webhook_url_file is None:
            name, address = EVERYBODY, inherited
        else:
            address = slack
        file = self._files.path(_file(name, "slack_url"), address.webhook_url, address.webhook_url_file)
        channel = slack.channel or (inherited.channel if address is inherited else None)
        return {
            "api_url_file": file,
            **({"channel": channel} if channel else {}),
            "send_resolved": True,
            **{key: f'{{{{ template "scheduling.slack.{key}" . }}}}' for key in _SLACK_TEXTS},
        }

    def _webhook(self, name: str, webhook: Webhook) -> dict[str, Any]:
        found: dict[str, Any]
        address = _known(webhook.url)
        if address is not None:
            found = {"url": address}
        else:
            found = {"url_file": self._files.path(_file(name, "webhook_url"), webhook.url, webhook.url_file)}
        token = self._files.path(_file(name, "webhook_token"), webhook.token, webhook.token_file)
        return {**found, "send_resolved": True, **_bearer(token)}

    def _pagerduty(self, name: str, pagerduty: Pagerduty) -> dict[str, Any]:
        file = self._files.path(_file(name, "routing_key"), pagerduty.routing_key, pagerduty.routing_key_file)
        return {
            "routing_key_file": file,
            "send_resolved": True,
            "description": '{{ template "scheduling.title" . }}',
            "severity": '{{ template "scheduling.pagerduty.severity" . }}',
            "details": {"alerts": '{{ template "scheduling.text" . }}'},
        }

    def _exporter(self, path: str) -> dict[str, Any]:
        receiver = self._alerting.receiver
        token = self._files.path("receiver_token", receiver.token, receiver.token_file)
        return {"url": f"{self._own}{path}", "send_resolved": True, **_bearer(token)}


def inline_urls(receivers: list[Receiver]) -> list[str]:
    """The addresses that stand in the configuration itself, and may be secrets."""
    configs = [config for receiver in receivers for config in receiver.get("webhook_configs", [])]
    return [config["url"] for config in configs if "url" in config and TOLD not in config["url"]]


def _as_slack(webhook: Webhook) -> Slack | None:
    """The webhook as Slack's, if its address is."""
    address = _known(webhook.url)
    return Slack(webhook_url=webhook.url) if address and urlsplit(address).hostname in _SLACK else None


def _known(secret: Secret | None) -> str | None:
    """A secret's text, if it is here: Alertmanager 0.25 takes a webhook's address from its configuration alone."""
    if secret is None:
        return None
    template = secret.template
    if template is None:
        return secret.reveal()
    if any(isinstance(part, VaultReference) for part in template):
        return None
    return filled(template, {part: read_file(part) for part in template if isinstance(part, FileReference)}).strip()


def _mail(mail: MailTo) -> dict[str, Any]:
    return {
        "to": ", ".join(mail.to),
        "send_resolved": True,
        "headers": {"Subject": '{{ template "scheduling.email.subject" . }}'},
        "html": '{{ template "scheduling.email.html" . }}',
        "text": '{{ template "scheduling.email.text" . }}',
    }


def _bearer(token: str | None) -> Mapping[str, Any]:
    return {} if token is None else {"http_config": {"authorization": {"credentials_file": token}}}


def _file(receiver: str, what: str) -> str:
    """A secret's file name: that of everybody needs no prefix."""
    return f"{receiver}_{what}".replace("-", "_").removeprefix(f"{EVERYBODY}_")
