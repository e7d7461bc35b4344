"""What the demo says on the terminal."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from exporter.demo.database import ShopDatabase
from exporter.demo.options import Options


def say(text: str, *, error: bool = False) -> None:
    """Print at once; a terminal that is gone must not keep us from cleaning up."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr if error else sys.stdout, flush=True)


def banner(options: Options, shop: ShopDatabase, directory: Path, seconds: float) -> str:
    """The addresses, and how to end it."""
    sidecar, prometheus = f"http://{options.sidecar}", f"http://127.0.0.1:{options.prometheus_port}"
    lines = [
        f"\nThe demo is running: first complete scrape after {seconds:.1f} s.\n",
        f"  Status page   {sidecar}/",
        f"  Metrics       {sidecar}/metrics",
    ]
    if options.prometheus_port is not None:
        lines.append(f"  Prometheus    {prometheus}/  (targets: {prometheus}/targets)")
    if options.alerting is not None:
        lines += [
            f"  Alertmanager  http://127.0.0.1:{options.alerting.alertmanager}/",
            f"  Inbox         http://127.0.0.1:{options.alerting.inbox}/  (its mails and Slack messages)",
        ]
    lines += [
        f"  PostgreSQL    psql {shop.monitor_dsn}",
        f"  Logs          {directory}/*.log (the exporter's warnings: sidecar.log)",
        "\nCtrl-C stops everything" + (" and removes it." if options.directory is None else "."),
    ]
    return "\n".join(lines)
