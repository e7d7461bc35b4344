"""The whole of it as data: what ``alertmanager.yml`` says, the secrets beside it, what people have to know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Final

import msgspec

from exporter.alerting import routes
from exporter.alerting.inhibition import inhibit_rules
from exporter.alerting.pace import Setting, escalation_wait, setting_of
from exporter.alerting.receivers import EVERYBODY, NOBODY, ON_CALL, Receiver, Receivers, inline_urls
from exporter.alerting.secret_files import SecretFiles
from exporter.config.addresses import parse_listen_address
from exporter.config.alerting import Alerting
from exporter.config.model import Config
from exporter.config.secrets import Secret
from exporter.errors import ConfigError

TEMPLATES: Final = "templates/*.tmpl"
_EVERY_INTERFACE: Final = ("", "0.0.0.0", "::")  # noqa: S104 - nothing is bound here


class Generated(msgspec.Struct, frozen=True, kw_only=True):
    """``config`` is Alertmanager's: ``global``, ``route``, ``receivers`` ... as its YAML has them, without secrets.

    ``secrets``: texts of files that have to be in the secrets' directory, by name. ``remarks``: what whoever uses it
    has to know or to do. ``private``: an address that may be a secret stands in ``config``.
    """

    config: Mapping[str, Any]
    secrets: Mapping[str, Secret]
    remarks: tuple[str, ...]
    private: bool


def alertmanager_config(config: Config, *, secrets_directory: PurePath) -> Generated:
    """Alertmanager's configuration for ``config`` and its environment. Raises ConfigError.

    ``secrets_directory`` is where Alertmanager finds the files of secrets that are in no file yet. Templates are those
    of ``exporter.alerting.files.templates``.
    """
    alerting = config.alerting
    setting = setting_of(alerting, config.setting)
    files = SecretFiles(secrets_directory)
    receivers = Receivers(alerting, files, own_address(config))
    told = has_token(alerting)
    if setting.console and not told:
        raise ConfigError(
            [
                "alerting.receiver.token: required with alerting.console, which is on in development: Alertmanager"
                " sends it to the exporter, which prints what it is told"
            ]
        )
    teams = alerting.teams if setting.notify else ()
    route, made = _route(alerting, setting, receivers)
    keep = told and (setting.notify or setting.console)
    if keep:
        route["routes"].insert(0, routes.history())
        made.append(receivers.history())
    made = [{"name": NOBODY}, *made]
    made += [receivers.team(team, console=setting.console) for team in teams]
    made += [receivers.team_on_call(team, console=setting.console) for team in teams if team.on_call is not None]
    smtp = receivers.smtp() if any("email_configs" in receiver for receiver in made) else {}
    return Generated(
        config={
            "global": {"resolve_timeout": "5m", **smtp},
            "templates": [TEMPLATES],
            "route": route,
            "inhibit_rules": inhibit_rules(),
            "receivers": made,
        },
        secrets=files.texts,
        remarks=tuple(_remarks(alerting, setting, made, files)),
        private=bool(inline_urls(made)),
    )


def _route(alerting: Alerting, setting: Setting, receivers: Receivers) -> tuple[routes.Route, list[Receiver]]:
    """The root route and the receivers of everybody, on call too."""
    teams = alerting.teams if setting.notify else ()
    of_teams = [team for team in teams if team.on_call is not None]
    everybody = receivers.everybody(notify=setting.notify, console=setting.console)
    made = [everybody]
    found = []
    for_all = setting.console or (setting.notify and alerting.on_call is not None)
    if for_all or of_teams:
        wait = escalation_wait(alerting, setting)
        found.append(routes.escalation(wait, setting.critical, for_all=for_all, teams=of_teams))
    if for_all:
        made.append(receivers.on_call(notify=setting.notify, console=setting.console))
    found.append(routes.nothing_to_say())
    found += [routes.team_route(team, setting.critical) for team in teams]
    found += routes.by_severity(everybody["name"], setting.critical)
    return routes.root(alerting.group_by, setting.warning, found), made


def has_token(alerting: Alerting) -> bool:
    """Whether Alertmanager can tell the exporter anything."""
    return alerting.receiver.token is not None or alerting.receiver.token_file is not None


def own_address(config: Config) -> str:
    """Where Alertmanager reaches this exporter: as configured, else where it listens for JSON, on this machine."""
    if config.alerting.receiver.url is not None:
        return config.alerting.receiver.url
    host, port = parse_listen_address((*config.api.addresses, *config.web.listen_address)[0])
    host = "127.0.0.1" if host in _EVERY_INTERFACE else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _remarks(alerting: Alerting, setting: Setting, receivers: list[Receiver], files: SecretFiles) -> list[str]:
    found = [f"{path}: put there what {text} stands for, without a line end" for path, text in files.missing.items()]
    by_name = {receiver["name"]: receiver for receiver in receivers}
    if setting.notify and not setting.console:
        if len(by_name[EVERYBODY]) == 1:
            found.append("nobody is told: set alerting.slack, email or webhook")
        if alerting.email is not None and not alerting.email.to:
            found.append("alerting.email.to is empty, and ALERT_EMAIL_TO is not set: everybody gets no mail")
        if ON_CALL not in by_name:
            found.append("nothing escalates: alerting.on_call is not set")
        if not has_token(alerting):
            found.append("the exporter keeps no history of alerts: alerting.receiver.token is not set")
    if not setting.notify and not setting.console:
        found.append("nobody is told in this environment: set alerting.notify or alerting.console")
    if has_token(alerting) and alerting.receiver.url is None:
        found.append("alerting.receiver.url is not set: Alertmanager looks for the exporter where that listens")
    if any("url_file" in config for receiver in receivers for config in receiver.get("webhook_configs", [])):
        found.append("url_file of a webhook needs Alertmanager 0.26 or newer")
    if inline_urls(receivers):
        found.append(
            "a webhook's address stands in alertmanager.yml, readable for its owner and group alone: Alertmanager"
            " before 0.26 reads it from nowhere else; url_file, for newer ones, keeps it out"
        )
    for name, base in (("runbook_base", alerting.runbook_base), ("dashboard_base", alerting.dashboard_base)):
        if base is None and setting.notify:
            found.append(f"alerting.{name} is not set: messages show a path in place of a link")
    return found
