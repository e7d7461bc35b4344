"""Which rule an alert meets, what it acts on, and what holds it back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from support.alerting import revealed

from exporter.actions import Actions
from exporter.config.model import Alerting, Config
from exporter.config.remediation import CheckRemedy, HttpRemedy, RemediationRule, TriggerRemedy
from exporter.config.remediation import Remediation as Section
from exporter.domain import Alert, AuditEntry
from exporter.ledger.alerts import AlertHistory
from exporter.ledger.audit import AuditTrail
from exporter.ledger.idempotency import Idempotency
from exporter.ledger.ledger import Ledger
from exporter.remediation import HeldBackError, Remediation, hold_back, meets, target_of

LABELS = {"alertname": "SchedulingRunMissed", "store": "main", "task_type": "report-daily", "job_id": "7"}


def rule(do: TriggerRemedy | CheckRemedy | HttpRemedy | None = None, **options: object) -> RemediationRule:
    given = {"name": "r", "alert": "SchedulingRunMissed", "do": do or TriggerRemedy(kind="trigger"), **options}
    return RemediationRule(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, True),
        ({"task_type": "report-*"}, True),
        ({"task_type": "report-*", "store": "other"}, False),
        ({"task_type": "Report-*"}, False),
        ({"team": "*"}, True),
        ({"team": "?*"}, False),
    ],
)
def test_a_rule_is_met_by_labels(match: dict[str, str], expected: bool) -> None:
    assert meets(rule(match=match), LABELS) is expected


def test_another_alert_meets_nothing() -> None:
    assert not meets(rule(), {**LABELS, "alertname": "SchedulingRunMissedTwice"})
    assert meets(rule(alert="Scheduling*"), LABELS)


def test_what_is_acted_on_is_named_by_the_rule_or_by_the_alert() -> None:
    assert target_of(rule(), LABELS) == "main/7"
    assert target_of(rule(TriggerRemedy(kind="trigger", store="b", job="9")), LABELS) == "b/9"
    assert target_of(rule(), {"alertname": "SchedulingRunMissed", "store": "main"}) is None
    assert target_of(rule(CheckRemedy(kind="check")), {"connection": "reports"}) == "reports"
    assert target_of(rule(CheckRemedy(kind="check")), LABELS) is None
    hook = rule(HttpRemedy(kind="http", url="http://h/x"))
    assert target_of(hook, {**LABELS, "severity": "critical"}) == target_of(hook, LABELS)
    assert target_of(hook, {**LABELS, "store": "b"}) != target_of(hook, LABELS)


def test_the_cooldown_is_for_one_target_and_the_hour_for_all() -> None:
    limited = rule(cooldown=900.0, per_hour=2)
    hold_back(limited, "main/7", [(100.0, "main/8")], 200.0)
    hold_back(limited, "main/7", [(100.0, "main/7")], 1000.1)
    with pytest.raises(HeldBackError, match="within its cooldown of 15m"):
        hold_back(limited, "main/7", [(100.0, "main/7")], 999.0)
    with pytest.raises(HeldBackError, match="2 times within an hour"):
        hold_back(limited, "main/7", [(100.0, "main/8"), (200.0, "main/9")], 1200.0)
    hold_back(limited, "main/7", [(100.0, "main/8"), (200.0, "main/9")], 3700.1)


RULES = (RemediationRule(name="r", alert="Down", do=CheckRemedy(kind="check"), per_hour=3),)
CONFIG = Config(alerting=Alerting(remediation=Section(enabled=True, rules=RULES)))
AUDITED = "SELECT json_extract(data, '$.target'), result FROM audit ORDER BY id"


def told(fingerprint: str, ends_at: float | None = None) -> Alert:
    return Alert(
        fingerprint=fingerprint,
        labels={"alertname": "Down", "connection": fingerprint},
        annotations={},
        state="firing" if ends_at is None else "resolved",
        starts_at=1.0,
        ends_at=ends_at,
    )


def test_what_was_done_before_a_restart_counts_and_a_fault_of_ours_ends_nothing(tmp_path: Path) -> None:
    checked: list[str] = []

    async def check(name: str) -> object:
        checked.append(name)
        if name == "odd":
            raise RuntimeError("a fault of ours")
        raise KeyError(name)

    async def run() -> list[tuple[str, str]]:
        async with Ledger(str(tmp_path), budget=500) as ledger:
            audit = AuditTrail(ledger)
            actions = Actions(store=lambda _: None, reveal=revealed, audit=audit, keys=Idempotency(ledger))
            history = AlertHistory(ledger)
            remediation = Remediation(
                config=lambda: CONFIG, actions=actions, check=check, reveal=revealed, audit=audit, history=history
            )
            await audit.kept(
                AuditEntry(at=time.time() - 60, action="check", actor="remediation r", result="failed", target="old")
            )
            await history.tell([told("ended", ends_at=2.0)])
            remediation.told(told(f) for f in ("old", "ended", "odd", "new", "one-more"))
            task = asyncio.create_task(remediation.run())
            rows: list[tuple[str, str]] = []
            async with asyncio.timeout(60):
                while len(rows) < 6:
                    await asyncio.sleep(0.02)
                    await audit.done("nobody", 0)  # what was recorded is written
                    rows = await ledger.read(lambda db: db.execute(AUDITED).fetchall())
            task.cancel()
            return rows

    rows = asyncio.run(run())
    assert rows == [
        ("old", "failed"), ("old", "refused"), ("ended", "refused"), ("odd", "unknown"),
        ("new", "failed"), ("one-more", "refused"),
    ]  # fmt: skip
    assert checked == ["odd", "new"]
