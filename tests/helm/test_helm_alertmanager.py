"""The chart's AlertmanagerConfig says what ``alertmanager-config`` says of a section, and Alertmanager takes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import pytest
import yaml
from helm_python import HelmError
from support.amtool import alert, amtool, message, told
from support.charts import RELEASE, Object, notes, of_kind, one, render

from exporter.alerting import alertmanager_config
from exporter.alerting.files import templates
from exporter.config.load import NOT_ASKED, load_file
from exporter.config.model import Config
from tools.helm_alerting import matcher

SECRET = "alerts"
DIRECTORY = PurePath("/secrets")
ENVIRON = {
    "SLACK": "https://hooks.slack.com/services/x",
    "HOOK": "http://hooks.company.example/alerts",
    "TOKEN": "a-token",
    "PASSWORD": "a-password",
    "KEY": "a-key",
}
OWN = {"receiver": {"token": "${TOKEN}", "url": "http://exporter:9795/"}}
SLACK = {"slack": {"webhook_url": "${SLACK}", "channel": "#alerts"}}
MAIL = {
    "email": {
        "to": ["a@company.example", "b@company.example"],
        "from": "scheduler@company.example",
        "smarthost": "smtp.company.example:587",
        "username": "scheduler",
        "password": "${PASSWORD}",
    }
}
OPEN_MAIL = {"email": {"from": "a@b.example", "smarthost": "relay:25", "require_tls": False}}
HOOK = {"webhook": {"url": "${HOOK}", "token": "${TOKEN}"}}
ON_CALL = {
    "on_call": {"pagerduty": {"routing_key": "${KEY}"}, "slack": {"channel": "#on-call"}, "webhook": HOOK["webhook"]}
}
TEAMS = {
    "teams": [
        {
            "name": "billing-eu",
            "matchers": ['task_type=~"bill(ing)?|invoice=.*"', "store = main", r'queue!="a\"b\\n\n"'],
            "slack": {},
        },
        {"name": "data", "webhook": {"url": "${HOOK}"}, "on_call": {"slack": {"webhook_url": "${SLACK}"}}},
        {"name": "mail", "matchers": ['component!~"trends$$|$${x}$"'], "email": {"to": ["mail@company.example"]}},
    ]
}
PACE = {
    "critical": {"group_wait": "1500ms", "repeat_interval": "90m"},
    "warning": {"group_interval": "1d12h"},
    "escalate_after": "5m",
    "evaluation_interval": "30s",
    "group_by": ["..."],
}
BASES = {"runbook_base": "https://runbooks.company.example/{x}/", "dashboard_base": "https://grafana.company.example"}
#: Names of the custom resource that are not Alertmanager's in other letters.
NAMES = {
    "requireTLS": "require_tls",
    "apiURL": "api_url_file",
    "urlSecret": "url",
    "routingKey": "routing_key_file",
    "authPassword": "auth_password_file",
}
CASES: dict[str, tuple[str | None, tuple[dict[str, Any], ...]]] = {
    "nothing": (None, ()),
    "slack": ("production", (SLACK,)),
    "mail": ("production", (MAIL, BASES)),
    "mail-without-login": ("production", (OPEN_MAIL, {"teams": [TEAMS["teams"][2]]})),
    "webhook": ("production", (HOOK, OWN)),
    "on-call": ("production", (SLACK, ON_CALL, OWN, {"runbook_base": BASES["runbook_base"]})),
    "teams": ("production", (SLACK, MAIL, TEAMS)),
    "all": ("production", (SLACK, MAIL, HOOK, ON_CALL, OWN, TEAMS, PACE, BASES)),
    "development": ("development", (SLACK, MAIL, OWN, TEAMS)),
    "development-tells": ("development", (SLACK, MAIL, OWN, TEAMS, {"notify": True})),
    "test": ("test", (SLACK, MAIL, ON_CALL)),
    "test-tells": ("test", (SLACK, {"notify": True, "console": False}, ON_CALL)),
    "nobody": ("production", ({"notify": False}, SLACK)),
}


def values(name: str) -> dict[str, Any]:
    """The chart's values of a case."""
    environment, sections = CASES[name]
    alerting = {key: value for section in sections for key, value in section.items()}
    config: dict[str, Any] = {"stores": [{"name": "main", "dsn": "host=h"}], "alerting": alerting}
    if environment is not None:
        config["environment"] = environment
    return {"config": config, "alertmanagerConfig": {"enabled": True, "existingSecret": SECRET}}


def config_of(name: str, directory: Path) -> Config:
    """The same for the command."""
    file = directory / "config.yaml"
    file.write_text(yaml.safe_dump({**values(name)["config"], "auth": {"anonymous_read": True}}))
    return load_file(str(file), ENVIRON, NOT_ASKED)


def spec_of(name: str) -> Object:
    spec: Object = one(render(values(name)), "AlertmanagerConfig")["spec"]
    return spec


def as_custom_resource(config: dict[str, Any]) -> Object:
    """What the command says, in the custom resource's words."""
    mail = {key: value for key, value in config["global"].items() if key.startswith("smtp_")}
    return {
        "route": _route(config["route"]),
        "receivers": [_receiver(each, mail) for each in config["receivers"]],
        "inhibitRules": [
            {
                "sourceMatch": [matcher(each) for each in rule["source_matchers"]],
                "targetMatch": [matcher(each) for each in rule["target_matchers"]],
                "equal": rule["equal"],
            }
            for rule in config["inhibit_rules"]
        ],
    }


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def _route(route: dict[str, Any]) -> Object:
    found = {_camel(key): value for key, value in route.items()}
    if "matchers" in route:
        found["matchers"] = [_matcher(each) for each in route["matchers"]]
    if "routes" in route:
        found["routes"] = [_route(each) for each in route["routes"]]
    return found


def _matcher(text: str) -> dict[str, str]:
    """Of a team: a value may be without quotes."""
    operator = next(each for each in ("=~", "!~", "!=", "=") if each in text)
    name, _, value = (part.strip() for part in text.partition(operator))
    return {"name": name, "value": json.loads(value) if value.startswith('"') else value, "matchType": operator}


def _key(path: str) -> dict[str, str]:
    return {"name": SECRET, "key": PurePath(path).name}


def _receiver(receiver: dict[str, Any], mail: dict[str, Any]) -> Object:
    found: Object = {"name": receiver["name"]}
    file = receiver["name"].replace("-", "_").removeprefix("everybody")
    for slack in receiver.get("slack_configs", ()):
        one = {_camel(key): value for key, value in slack.items() if key != "api_url_file"}
        found.setdefault("slackConfigs", []).append({**one, "apiURL": _key(slack["api_url_file"])})
    for hook in receiver.get("webhook_configs", ()):
        one = {"sendResolved": hook["send_resolved"]}
        # Its address stands in the file where the command knows it; values hold no secrets.
        ours = "/api/v1/alerts/webhook" in hook["url"]
        key = _key(f"{file}_webhook_url".removeprefix("_"))
        one |= {"url": hook["url"]} if ours else {"urlSecret": key}
        if "http_config" in hook:
            token = hook["http_config"]["authorization"]["credentials_file"]
            one["httpConfig"] = {"authorization": {"credentials": _key(token)}}
        found.setdefault("webhookConfigs", []).append(one)
    for each in receiver.get("email_configs", ()):
        server = {
            "smarthost": mail["smtp_smarthost"],
            "from": mail["smtp_from"],
            "requireTLS": mail["smtp_require_tls"],
        }
        if "smtp_auth_username" in mail:
            server |= {
                "authUsername": mail["smtp_auth_username"],
                "authPassword": _key(mail["smtp_auth_password_file"]),
            }
        one = {_camel(key): value for key, value in each.items()}
        one["headers"] = [{"key": key, "value": value} for key, value in each["headers"].items()]
        found.setdefault("emailConfigs", []).append({**one, **server})
    for duty in receiver.get("pagerduty_configs", ()):
        one = {_camel(key): value for key, value in duty.items() if key != "routing_key_file"}
        one["details"] = [{"key": key, "value": value} for key, value in duty["details"].items()]
        found.setdefault("pagerdutyConfigs", []).append({**one, "routingKey": _key(duty["routing_key_file"])})
    return found


def without_definitions(value: Any) -> Any:
    """Texts without the definitions that they bring."""
    if isinstance(value, dict):
        return {key: without_definitions(each) for key, each in value.items()}
    if isinstance(value, list):
        return [without_definitions(each) for each in value]
    if isinstance(value, str) and value.startswith("{{ define"):
        return value[value.rindex("{{ template") :]
    return value


@pytest.mark.parametrize("name", CASES)
def test_it_says_what_the_command_says(name: str, tmp_path: Path) -> None:
    generated = alertmanager_config(config_of(name, tmp_path), secrets_directory=DIRECTORY)
    said = json.loads(json.dumps(as_custom_resource(dict(generated.config))))
    assert without_definitions(spec_of(name)) == said


@pytest.mark.parametrize("name", ["slack", "mail", "on-call", "all"])
def test_messages_read_alike(name: str, tmp_path: Path) -> None:
    """Each text of the resource, with the definitions that it brings, and the command's with its templates."""
    (tmp_path / "templates").mkdir()
    for file, content in templates(config_of(name, tmp_path)).items():
        (tmp_path / "templates" / file).write_text(content)
    shown = {(key, text) for key, text in texts(spec_of(name)["receivers"]) if text.startswith("{{ define")}
    assert len(shown) >= 3
    two = [alert(job_id="1", summary="a failed"), alert(job_id="2", summary="b <failed>", over=True)]
    for data in (message(alert()), message(*two)):
        (tmp_path / "data.json").write_text(json.dumps(data))
        for key, text in shown:
            kind = "html" if key == "html" else "text"
            ours = _rendered(tmp_path, text[text.rindex("{{ template") :], kind, "templates/*.tmpl")
            assert _rendered(tmp_path, text, kind, "none/*.tmpl") == ours
            assert ours.strip()


def texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """All texts by their keys."""
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(each, str):
            yield key if isinstance(name, int) else name, each
        elif isinstance(each, (dict, list)):
            yield from texts(each, name if isinstance(name, str) else key)


def _rendered(directory: Path, text: str, kind: str, glob: str) -> str:
    return amtool("template", "render", f"--template.glob={directory / glob}", f"--template.type={kind}",
                  f"--template.text={text}", f"--template.data={directory / 'data.json'}")  # fmt: skip


def as_operator(spec: Object, directory: Path) -> None:
    """alertmanager.yml as Prometheus' operator makes it of the resource, without its matcher for the namespace."""
    (directory / "secrets").mkdir(parents=True)

    def file(key: dict[str, str]) -> str:
        path = directory / "secrets" / key["key"]
        path.write_text("https://x.example/secret")
        return str(path)

    def snake(name: str) -> str:
        special = {
            "requireTLS": "require_tls",
            "apiURL": "api_url_file",
            "urlSecret": "url",
            "routingKey": "routing_key_file",
        }
        special["authPassword"] = "auth_password_file"
        return special.get(name) or "".join(f"_{each.lower()}" if each.isupper() else each for each in name)

    def converted(value: Any, name: str = "") -> Any:
        if name in ("headers", "details"):
            return {each["key"]: each["value"] for each in value}
        if name == "matchers":
            return [f"{each['name']}{each['matchType']}{json.dumps(each['value'])}" for each in value]
        if name == "urlSecret":
            return Path(file(value)).read_text()
        if isinstance(value, dict) and value.keys() == {"name", "key"}:
            return file(value)
        if isinstance(value, dict):
            return {snake(key): converted(each, key) for key, each in value.items()}
        return [converted(each) for each in value] if isinstance(value, list) else value

    whole = {"route": converted(spec["route"]), "receivers": converted(spec["receivers"])}
    for receiver in whole["receivers"]:
        for hook in receiver.get("webhook_configs", ()):
            if "http_config" in hook:
                credentials = hook["http_config"]["authorization"].pop("credentials")
                hook["http_config"]["authorization"]["credentials_file"] = credentials
    whole["inhibit_rules"] = [
        {
            "source_matchers": converted(rule["sourceMatch"], "matchers"),
            "target_matchers": converted(rule["targetMatch"], "matchers"),
            "equal": rule["equal"],
        }
        for rule in spec["inhibitRules"]
    ]
    (directory / "alertmanager.yml").write_text(yaml.safe_dump(whole))


@pytest.mark.parametrize("name", CASES)
def test_alertmanager_takes_it_and_tells_the_same_people(name: str, tmp_path: Path) -> None:
    as_operator(spec_of(name), tmp_path / "operator")
    assert "SUCCESS" in amtool("check-config", tmp_path / "operator" / "alertmanager.yml")
    generated = alertmanager_config(config_of(name, tmp_path), secrets_directory=DIRECTORY)
    ours = {**generated.config, "templates": []}
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(json.loads(json.dumps(ours))))
    alerts = [
        {"severity": "critical", "store": "main"},
        {"severity": "warning", "critical": "true", "task_type": "billing", "store": "main", "queue": "q"},
        {"severity": "critical", "team": "data", "component": "trends"},
        {"severity": "info"},
        {"severity": "warning", "component": "jobs"},
        {"severity": "critical", "task_type": "invoice=1", "store": "main", "queue": "q", "component": "trends"},
    ]
    for labels in alerts:
        assert told(tmp_path / "operator", **labels) == told(tmp_path, **labels)


def test_secrets_have_the_names_of_the_commands_files(tmp_path: Path) -> None:
    generated = alertmanager_config(config_of("all", tmp_path), secrets_directory=DIRECTORY)
    keys = set(_keys(spec_of("all")))
    # The addresses of webhooks that are known stand in the command's file.
    hooks = {key for key in keys if key.endswith("webhook_url")}
    assert keys - hooks == set(generated.secrets)
    assert all(key in notes(values("all")) for key in keys)


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.get("name") == SECRET:
            yield value["key"]
        for each in value.values():
            yield from _keys(each)
    elif isinstance(value, list):
        for each in value:
            yield from _keys(each)


def test_it_finds_the_exporter_by_its_service() -> None:
    given = values("webhook")
    del given["config"]["alerting"]["receiver"]["url"]
    for more, service, port in (({}, "api", 9796), ({"api": {"enabled": False}}, "metrics", 9795)):
        found = render({**given, **more, "webConfig": {"secret": "web", "tls": True}})
        [history] = [e for e in one(found, "AlertmanagerConfig")["spec"]["receivers"] if e["name"] == "history"]
        [name] = [
            each["metadata"]["name"]
            for each in of_kind(found, "Service")
            if each["metadata"]["labels"]["app.kubernetes.io/component"] == service
        ]
        assert history["webhookConfigs"][0]["url"] == f"https://{name}.jobs.svc:{port}/api/v1/alerts/webhook"
        assert name.startswith(RELEASE)


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("slack", {"alertmanagerConfig": {"existingSecret": ""}}, "needs its key slack_url: name the Secret"),
        ("slack", {"existingConfig": {"configMap": "c"}}, "existingConfig is set"),
        ("slack", {"config": {"environment": "development"}}, "alerting.receiver.token is not set"),
        ("slack", {"config": {"environment": "staging"}}, "expected development, production, test"),
        ("on-call", {"config": {"alerting": {"escalate_after": "35s"}}}, "expected more than 35s"),
        ("on-call", {"config": {"alerting": {"escalate_after": "soon"}}}, "soon is no duration"),
        ("slack", {"config": {"alerting": {"slack": {"channel": "${CHANNEL}"}}}}, "slack.channel is a reference"),
    ],
)
def test_what_cannot_be_made_is_refused(name: str, change: dict[str, Any], why: str) -> None:
    given = values(name)
    _merge(given, change)
    with pytest.raises(HelmError, match=why):
        render(given)


def _merge(into: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            into[key] = dict(into[key])
            _merge(into[key], value)
        else:
            into[key] = value
