"""What is done by itself when an alert fires: what the configuration names, seldom, once, and written down.

Belongs here: which rule an alert meets, and how often it may act. Does not: doing it (``actions``), evaluating and
sending alerts, which Prometheus and Alertmanager do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry

from exporter.actions import Actions, Asker
from exporter.config.durations import format_duration
from exporter.config.model import Config
from exporter.config.remediation import CheckRemedy, HttpRemedy, RemediationRule, TriggerRemedy
from exporter.domain import Alert, AuditEntry
from exporter.errors import ActionRefused, ActionUnavailable, ExporterError, LedgerError, OutcomeUnknown
from exporter.instruments import RemediationInstruments
from exporter.ledger.alerts import AlertHistory
from exporter.ledger.audit import AuditTrail
from exporter.outbound import RemoteUnavailable, Reveal, ask

log = structlog.get_logger(component="remediation")

#: Alerts that wait for their turn; Alertmanager tells of what goes on firing again.
WAITING: Final = 1_000
HOUR: Final = 3600.0
#: Seconds that a check may wait beyond the checks' timeout: others may be on before it.
PATIENCE: Final = 10.0


class HeldBackError(ExporterError):
    """A rule's limits, or an alert without the label it needs, forbid it."""


#: Checks a connection at once; returns what came of it, with ``is_healthy`` and ``result``. KeyError: there is none.
Check = Callable[[str], Awaitable[Any]]


class Remediation:
    """Takes what Alertmanager tells; ``run`` acts, one after the other."""

    def __init__(
        self,
        *,
        config: Callable[[], Config],
        actions: Actions,
        check: Check,
        reveal: Reveal,
        audit: AuditTrail,
        history: AlertHistory,
    ) -> None:
        self._config = config
        self._actions = actions
        self._check = check
        self._reveal = reveal
        self._audit = audit
        self._history = history
        self._instruments = RemediationInstruments()
        self._waiting: asyncio.Queue[tuple[RemediationRule, Alert]] = asyncio.Queue(WAITING)

    def registry(self) -> CollectorRegistry:
        """What was counted, each rule of the configuration in it."""
        self._instruments.know(rule.name for rule in self._rules())
        return self._instruments.registry

    def told(self, alerts: Iterable[Alert]) -> None:
        """Have done what the rules say of these alerts; returns at once."""
        rules = self._rules()
        for alert in alerts if rules else ():
            for rule in rules:
                if alert.ends_at is None and meets(rule, alert.labels):
                    try:
                        self._waiting.put_nowait((rule, alert))
                    except asyncio.QueueFull:
                        log.warning("too much to remedy at once; the next notification comes", rule=rule.name)

    async def run(self) -> None:
        """Act, for ever."""
        while True:
            rule, alert = await self._waiting.get()
            if rule in self._rules():  # a reload may have taken it away meanwhile
                await self._remedy(rule, alert)

    def _rules(self) -> tuple[RemediationRule, ...]:
        section = self._config().alerting.remediation
        return section.rules if section.enabled else ()

    async def _remedy(self, rule: RemediationRule, alert: Alert) -> None:
        about = {"rule": rule.name, "alert": alert.labels.get("alertname"), "target": target_of(rule, alert.labels)}
        try:
            await self._act(rule, alert)
        except HeldBackError as e:
            result = "held_back"
            log.info("remedy held back", **about, reason=str(e))
        except OutcomeUnknown as e:
            result = "unknown"
            log.warning("nobody can tell whether it was remedied", **about, reason=str(e))
        except ExporterError as e:
            result = "failed"
            log.warning("not remedied", **about, reason=str(e))
        except Exception:
            # A fault of ours in one remedy must not end the others, nor the sidecar.
            result = "failed"
            log.exception("not remedied", **about)
        else:
            result = "success"
            log.info("remedied", **about)
        self._instruments.count(rule.name, result)

    async def _act(self, rule: RemediationRule, alert: Alert) -> None:
        actor, target = f"remediation {rule.name}", target_of(rule, alert.labels)
        try:
            if target is None:
                raise HeldBackError("the alert has no label that says what to act on; name it in the rule")
            try:
                over = await self._history.over(alert)
                before = await self._audit.done(actor, time.time() - max(HOUR, rule.cooldown))
            except LedgerError as e:
                raise HeldBackError(f"nobody can tell how often it was done: {e}") from e
            if over:  # it ended while it waited for its turn, or somebody sends an old notification again
                raise HeldBackError("the alert is over")
            hold_back(rule, target, before, time.time())
        except HeldBackError as e:
            self._audit.record(
                AuditEntry(
                    at=time.time(), action=rule.do.kind, actor=actor, result="refused", target=target, detail=str(e)
                )
            )
            raise
        # So many were done before: after a kill half-way it is the same key, and is not done again.
        key = f"{alert.fingerprint}-{alert.starts_at:.0f}-{len(before)}"
        await self._do(rule, alert, target, Asker(actor=actor, key=key))

    async def _do(self, rule: RemediationRule, alert: Alert, target: str, asker: Asker) -> None:
        match rule.do:
            case TriggerRemedy() as remedy:
                await self._actions.trigger(asker, *job_of(remedy, alert.labels))
            case CheckRemedy():
                await self._actions.audited(asker, "check", target, lambda: self._checked(target))
            case HttpRemedy() as remote:
                await self._actions.audited(asker, "http", target, lambda: self._post(rule, remote, alert, asker))

    async def _checked(self, name: str) -> str:
        seconds = self._config().connections.timeout + PATIENCE
        try:
            async with asyncio.timeout(seconds):
                result = await self._check(name)
        except KeyError:
            raise ActionRefused(f"connection {name} is not checked by this process") from None
        except TimeoutError:
            raise ActionUnavailable(f"no check within {seconds:g} s: too many are going on") from None
        return "healthy" if result.is_healthy else f"unhealthy: {result.result}"

    async def _post(self, rule: RemediationRule, remote: HttpRemedy, alert: Alert, asker: Asker) -> str:
        body = {
            "rule": rule.name,
            "alert": alert.labels.get("alertname", rule.alert),
            "labels": alert.labels,
            "annotations": alert.annotations,
            "startsAt": alert.starts_at,
            "fingerprint": alert.fingerprint,
        }
        try:
            answer = await ask(
                remote, "POST", remote.url, reveal=self._reveal, body=body, headers={"Idempotency-Key": asker.key or ""}
            )
        except RemoteUnavailable as e:
            raise (OutcomeUnknown(str(e)) if e.sent else ActionUnavailable(str(e))) from e
        if not answer.ok:
            raise ActionRefused(f"answered {answer.status}: {answer.text}")
        return f"answered {answer.status}"


def hold_back(rule: RemediationRule, target: str, before: Sequence[tuple[float, str | None]], now: float) -> None:
    """HeldBackError where what was done ``before`` (when, to what) forbids it to ``rule``."""
    if any(about == target and at > now - rule.cooldown for at, about in before):
        raise HeldBackError(f"done within its cooldown of {format_duration(rule.cooldown)}")
    if sum(at > now - HOUR for at, _ in before) >= rule.per_hour:
        raise HeldBackError(f"done {rule.per_hour} times within an hour, as often as per_hour allows")


def meets(rule: RemediationRule, labels: Mapping[str, str]) -> bool:
    """Whether an alert with these labels is what ``rule`` waits for."""
    wanted = {"alertname": rule.alert, **rule.match}
    return all(fnmatchcase(labels.get(name, ""), pattern) for name, pattern in wanted.items())


def job_of(remedy: TriggerRemedy, labels: Mapping[str, str]) -> tuple[str, str]:
    """The store and the id of the job to trigger; "" is not known."""
    return remedy.store or labels.get("store", ""), remedy.job or labels.get("job_id", "")


def target_of(rule: RemediationRule, labels: Mapping[str, str]) -> str | None:
    """What would be acted on: ``store/job``, a connection, or what the alert is about; None where nothing says it."""
    match rule.do:
        case TriggerRemedy() as remedy:
            store, job = job_of(remedy, labels)
            return f"{store}/{job}" if store and job else None
        case CheckRemedy() as remedy:
            return remedy.connection or labels.get("connection") or None
        case HttpRemedy():
            # A cooldown for each thing that is alerted about, not for all that the address is told of.
            return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in _NO_TARGET)


#: Labels that say how an alert is told, not what it is about.
_NO_TARGET: Final = frozenset(("severity", "component", "team"))
