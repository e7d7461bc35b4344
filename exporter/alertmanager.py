"""Asks Alertmanager which alerts are active, and has it silence them; asks Prometheus where there is none.

Belongs here: their APIs, turned into ours. Does not: notifications that come in (``api.alert_webhook``), history
(``ledger.alerts``), who may silence (``api.alerts``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

import msgspec

from exporter.config.model import Alerting, Alertmanager, Remote
from exporter.domain import Alert
from exporter.errors import ExporterError, NotFound
from exporter.outbound import Answer, RemoteUnavailable, Reveal, ask
from exporter.poller import Collected, Collector
from exporter.snapshot import Snapshot
from exporter.stores.flights import Flights

T = TypeVar("T")
#: The part that tells which alerts are active, and the seconds between two questions for it.
COLLECTOR: Final = "alerts"
SOURCE: Final = "alertmanager"
INTERVAL: Final = 10.0
#: Alerts that are kept between two questions.
KEPT: Final = 200
_FNV_OFFSET: Final = 14695981039346656037
_FNV_PRIME: Final = 1099511628211


class AlertsUnavailable(ExporterError):
    """Alertmanager cannot be asked now, or there is none; ``detail`` is more, which not everybody has to know."""

    def __init__(self, what: str, detail: str | None = None) -> None:
        super().__init__(what if detail is None else f"{what}: {detail}")
        self.what = what


class SilenceRefused(ExporterError):
    """Alertmanager does not take a silence; the text is its own."""


class Matcher(msgspec.Struct, frozen=True, rename="camel"):
    """Which alerts a silence is for: those whose label ``name`` is ``value``, or matches it."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True


class _Status(msgspec.Struct, rename="camel"):
    state: Literal["unprocessed", "active", "suppressed"]
    silenced_by: list[str] = []
    inhibited_by: list[str] = []


class _Gettable(msgspec.Struct, rename="camel"):
    """Alertmanager's ``gettableAlert``, as far as it matters."""

    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    status: _Status


class _Rule(msgspec.Struct, rename="camel"):
    """An alert of Prometheus."""

    labels: dict[str, str]
    annotations: dict[str, str]
    state: str
    active_at: datetime


class _Rules(msgspec.Struct):
    alerts: list[_Rule]


class _PrometheusAnswer(msgspec.Struct):
    data: _Rules


class _Silenced(msgspec.Struct):
    silence_id: str = msgspec.field(name="silenceID")


class ActiveAlerts(msgspec.Struct, frozen=True):
    """What the collector publishes: alerts that fire, the latest first, at most KEPT of ``total``.

    ``held_back`` is how many are silenced or inhibited.
    """

    firing: tuple[Alert, ...]
    total: int
    held_back: int


def active_alerts(snapshot: Snapshot) -> ActiveAlerts | None:
    """What was told last; None where nobody is asked, does not answer, or has not answered lately."""
    part = snapshot.part(COLLECTOR, SOURCE)
    known = part is not None and part.success and part.fresh(time.monotonic())
    return part.value if part is not None and known else None


class AlertSource:
    """``config`` is asked each time: a reload needs no new source. Equal questions at the same time are asked once."""

    def __init__(self, config: Callable[[], Alerting], reveal: Reveal) -> None:
        self._config = config
        self._reveal = reveal
        self._flights = Flights()

    @property
    def configured(self) -> bool:
        """Whether there is anybody to ask."""
        config = self._config()
        return config.alertmanager is not None or config.prometheus is not None

    def collector(self) -> Collector:
        """Which alerts are active, asked again and again, for answers that wait for nobody: a part of the hub."""

        async def look() -> Collected:
            found = await self.active()
            firing = [alert for alert in found if alert.state == "active"]
            return Collected(
                value=ActiveAlerts(firing=tuple(firing[:KEPT]), total=len(firing), held_back=len(found) - len(firing))
            )

        return Collector(
            name=COLLECTOR,
            source=SOURCE,
            collect=look,
            interval=INTERVAL,
            deadline=INTERVAL,
            staleness=4 * INTERVAL,
        )

    async def active(self) -> list[Alert]:
        """The alerts that are active or silenced now, the latest first. AlertsUnavailable."""
        return await self._flights.join("active", self._ask)

    async def _ask(self) -> list[Alert]:
        config = self._config()
        if config.alertmanager is not None:
            found = await _of_alertmanager(config.alertmanager, self._reveal)
        elif config.prometheus is not None:
            found = await _of_prometheus(config.prometheus, self._reveal)
        else:
            raise AlertsUnavailable(
                "there is nobody to ask: set alerting.alertmanager.url or alerting.prometheus.url in the configuration"
            )
        return sorted(found, key=lambda alert: (-alert.starts_at, alert.fingerprint))

    async def matchers_of(self, fingerprint: str) -> list[Matcher]:
        """What matches the active alert with this fingerprint: all of its labels. AlertsUnavailable, NotFound."""
        self._silencer()
        for alert in await self.active():
            if alert.fingerprint == fingerprint:
                return [Matcher(name, value) for name, value in sorted(alert.labels.items())]
        raise NotFound(f"no active alert has the fingerprint {fingerprint}")

    def _silencer(self) -> Alertmanager:
        alertmanager = self._config().alertmanager
        if alertmanager is None:
            raise AlertsUnavailable("only Alertmanager can silence: set alerting.alertmanager.url in the configuration")
        return alertmanager

    async def silence(
        self, matchers: Sequence[Matcher], *, starts_at: float, ends_at: float, author: str, comment: str
    ) -> str:
        """Silence what all ``matchers`` match until ``ends_at`` (Unix seconds); the silence's id.

        AlertsUnavailable; SilenceRefused for matchers that Alertmanager does not take.
        """
        alertmanager = self._silencer()
        silence = {
            "matchers": matchers,
            "startsAt": _written(starts_at),
            "endsAt": _written(ends_at),
            "createdBy": author,
            "comment": comment,
        }
        answer = await _asked(
            "Alertmanager", alertmanager, "POST", "/api/v2/silences", body=silence, reveal=self._reveal
        )
        if answer.status == 400:
            raise SilenceRefused(f"Alertmanager does not take it: {answer.text}")
        return _decoded("Alertmanager", answer, _Silenced).silence_id


async def _of_alertmanager(alertmanager: Alertmanager, reveal: Reveal) -> list[Alert]:
    query = [(state, "true") for state in ("active", "silenced", "inhibited", "unprocessed")]
    query += [("filter", matcher) for matcher in alertmanager.filter]
    answer = await _asked("Alertmanager", alertmanager, "GET", "/api/v2/alerts", query=query, reveal=reveal)
    return [
        Alert(
            fingerprint=found.fingerprint,
            labels=found.labels,
            annotations=found.annotations,
            state=found.status.state,
            starts_at=found.starts_at.timestamp(),
            silenced_by=tuple(found.status.silenced_by),
            inhibited_by=tuple(found.status.inhibited_by),
        )
        for found in _decoded("Alertmanager", answer, list[_Gettable])
    ]


async def _of_prometheus(prometheus: Remote, reveal: Reveal) -> list[Alert]:
    answer = await _asked("Prometheus", prometheus, "GET", "/api/v1/alerts", reveal=reveal)
    return [
        Alert(
            fingerprint=fingerprint(found.labels),
            labels=found.labels,
            annotations=found.annotations,
            state="active",
            starts_at=found.active_at.timestamp(),
        )
        for found in _decoded("Prometheus", answer, _PrometheusAnswer).data.alerts
        if found.state == "firing"
    ]


async def _asked(who: str, remote: Remote, method: str, path: str, **more: Any) -> Answer:
    try:
        return await ask(remote, method, remote.url + path, **more)
    except RemoteUnavailable as e:
        raise AlertsUnavailable(f"{who} is away", str(e)) from e


def _decoded(who: str, answer: Answer, kind: type[T]) -> T:
    if answer.status in (401, 403):
        raise AlertsUnavailable(f"{who} refuses us (status {answer.status}): look at username, password and token")
    if not answer.ok:
        raise AlertsUnavailable(f"{who} answers with status {answer.status}", answer.text)
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise AlertsUnavailable(f"what answers at its url is no {who}: is the path right?") from e


def _written(at: float) -> str:
    return datetime.fromtimestamp(math.floor(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def fingerprint(labels: dict[str, str]) -> str:
    """What Alertmanager calls an alert of these labels: FNV-1a over names and values in order."""
    number = _FNV_OFFSET
    for name, value in sorted(labels.items()):
        for byte in b"%b\xff%b\xff" % (name.encode(), value.encode()):
            number = (number ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return f"{number:016x}"
