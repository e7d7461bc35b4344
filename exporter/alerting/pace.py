"""What the environment says where the configuration does not: who is told, how soon, how often."""

from __future__ import annotations

from typing import Final

import msgspec

from exporter.config.alerting import Alerting
from exporter.config.alerting import Pace as PaceSection
from exporter.config.durations import format_duration
from exporter.config.model import Environment
from exporter.errors import ConfigError

#: Seconds that Prometheus and Alertmanager need to hand an alert on, beside evaluation and waiting.
HANDING_ON: Final = 5.0


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """In seconds: how long a new group waits for more, how soon a change is told, how soon the same is told again."""

    group_wait: float
    group_interval: float
    repeat_interval: float

    def over(self, section: PaceSection) -> Pace:
        """With what the configuration says over it."""
        return Pace(
            group_wait=section.group_wait or self.group_wait,
            group_interval=section.group_interval or self.group_interval,
            repeat_interval=section.repeat_interval or self.repeat_interval,
        )


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What holds in an environment: ``escalate_after`` in seconds, from the moment when an alert's condition holds."""

    notify: bool
    console: bool
    critical: Pace
    warning: Pace
    escalate_after: float


_FAST: Final = {
    "critical": Pace(group_wait=5, group_interval=30, repeat_interval=3600),
    "warning": Pace(group_wait=10, group_interval=60, repeat_interval=4 * 3600),
    "escalate_after": 30.0,
}
SETTINGS: Final[dict[Environment, Setting]] = {
    "production": Setting(
        notify=True,
        console=False,
        critical=Pace(group_wait=15, group_interval=60, repeat_interval=3600),
        warning=Pace(group_wait=60, group_interval=300, repeat_interval=12 * 3600),
        escalate_after=60,
    ),
    "development": Setting(notify=False, console=True, **_FAST),  # type: ignore[arg-type]
    "test": Setting(notify=False, console=False, **_FAST),  # type: ignore[arg-type]
}


def setting_of(alerting: Alerting, environment: Environment) -> Setting:
    """The environment's, with what the configuration says over it."""
    base = SETTINGS[environment]
    return Setting(
        notify=base.notify if alerting.notify is None else alerting.notify,
        console=base.console if alerting.console is None else alerting.console,
        critical=base.critical.over(alerting.critical),
        warning=base.warning.over(alerting.warning),
        escalate_after=alerting.escalate_after or base.escalate_after,
    )


def escalation_wait(alerting: Alerting, setting: Setting) -> float:
    """How long (seconds) the group of whoever is on call waits. Raises ConfigError where no time is left for that.

    What is promised begins with the condition, so one evaluation is part of it, and handing the alert on.
    """
    wait = setting.escalate_after - alerting.evaluation_interval - HANDING_ON
    if wait <= setting.critical.group_wait:
        parts = (alerting.evaluation_interval, setting.critical.group_wait, HANDING_ON)
        least, evaluation, group_wait, rest = (format_duration(each) for each in (sum(parts), *parts))
        told = format_duration(setting.escalate_after)
        raise ConfigError(
            [
                f"alerting.escalate_after: expected more than {least} (evaluation_interval {evaluation},"
                f" critical.group_wait {group_wait}, {rest} to hand it on): people are told before whoever is on call;"
                f" got {told}"
            ]
        )
    return wait
