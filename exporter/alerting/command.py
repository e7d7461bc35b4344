"""``scheduler-exporter alertmanager-config``: writes Alertmanager's configuration, and says what is left to do."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Final

import msgspec

from exporter.alerting.assembly import alertmanager_config
from exporter.alerting.files import SECRETS, text, write
from exporter.config.alerting import Webhook
from exporter.config.load import NOT_ASKED, load_file
from exporter.config.model import Config
from exporter.config.secrets import Secret
from exporter.config.unasked import refuse_open
from exporter.config.urls import check_page_url
from exporter.errors import ConfigError

#: What `serve` takes too.
_CONFIG_FILE: Final = "SCHEDULER_EXPORTER_CONFIG_FILE"
#: The scheduling worker's variables.
_WEBHOOK_URL: Final = "ALERT_WEBHOOK_URL"
_EMAIL_TO: Final = "ALERT_EMAIL_TO"
STANDARD_OUTPUT: Final = "-"


def run(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """Run the command; its exit status. Raises ConfigError, ExporterError."""
    file = args.config_file or environ.get(_CONFIG_FILE) or "config.yaml"
    config = load_file(file, environ, NOT_ASKED)
    refuse_open(
        config.alerting, ("alerting",), file=file, instead="write it into the file, or as ${NAME} of the environment"
    )
    config = with_environment(config, environ)
    to_output = args.output == STANDARD_OUTPUT
    directory = Path(args.output)
    beside = PurePath("/etc/alertmanager") if to_output else directory.resolve()
    secrets = PurePath(args.secrets_path) if args.secrets_path else beside / SECRETS
    generated = alertmanager_config(config, secrets_directory=secrets)
    if to_output:
        print(text(config, generated), end="")
    else:
        for path in write(config, generated, directory):
            print(path)
    remarks = list(generated.remarks)
    if config.alerting.email is None and environ.get(_EMAIL_TO):
        remarks.append(f"{_EMAIL_TO} is set, but alerting.email, which says by which server, is not: no mail is sent")
    if generated.secrets and not to_output:
        remarks.append(f"{directory / SECRETS} is for its owner alone: give it to the user whom Alertmanager runs as")
    if generated.secrets and (args.secrets_path or to_output):
        names = ", ".join(generated.secrets)
        remarks.append(f"{secrets} has to hold these files where Alertmanager runs: {names}")
    for remark in remarks:
        print(f"remark: {remark}", file=sys.stderr)
    return 0


def with_environment(config: Config, environ: Mapping[str, str]) -> Config:
    """With ALERT_WEBHOOK_URL and ALERT_EMAIL_TO in place of what the configuration leaves open. Raises ConfigError."""
    replace = msgspec.structs.replace
    alerting = config.alerting
    url, to = environ.get(_WEBHOOK_URL), environ.get(_EMAIL_TO, "")
    if url and alerting.webhook is None:
        try:
            check_page_url(url)
        except ValueError:
            raise ConfigError(
                [f"{_WEBHOOK_URL}: expected an address such as https://hooks.example.com/alerts"]
            ) from None
        alerting = replace(alerting, webhook=Webhook(url=Secret(url)))
    addresses = tuple(address.strip() for address in to.split(",") if address.strip())
    if alerting.email is not None and not alerting.email.to and addresses:
        alerting = replace(alerting, email=replace(alerting.email, to=addresses))
    return replace(config, alerting=alerting)
