"""Routes: by severity, by the label ``critical``, by team; and the second one, on which alerts escalate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from exporter.alerting.pace import Pace
from exporter.alerting.receivers import EVERYBODY, HISTORY, NOBODY, ON_CALL, team_on_call, team_receiver
from exporter.config.alerting import Team
from exporter.config.durations import format_duration

Route = dict[str, Any]
CRITICAL: Final = 'severity="critical"'
#: Alerts about jobs that the configuration calls critical.
CRITICAL_JOB: Final = 'critical="true"'
INFO: Final = 'severity="info"'


def pace(held: Pace) -> Route:
    """The keys of a route that say how soon and how often."""
    return {
        "group_wait": format_duration(held.group_wait),
        "group_interval": format_duration(held.group_interval),
        "repeat_interval": format_duration(held.repeat_interval),
    }


def history() -> Route:
    """All alerts go to the exporter's history first, whoever else is told. It throttles nothing: it shows."""
    held = Pace(group_wait=1, group_interval=15, repeat_interval=24 * 3600)
    return {"receiver": HISTORY, "continue": True, **pace(held)}


def escalation(wait: float, critical: Pace, *, for_all: bool, teams: Sequence[Team]) -> Route:
    """Critical alerts that still fire after ``wait`` seconds go to whoever is on call, too.

    A group that exists tells of what joined it at its next interval, which is as short. A silence, or an inhibition,
    holds this back like any other route.
    """
    held = Pace(group_wait=wait, group_interval=wait, repeat_interval=critical.repeat_interval)
    of_teams = [{"receiver": team_on_call(team), "matchers": matchers_of(team)} for team in teams]
    return {
        "receiver": ON_CALL if for_all else NOBODY,
        "matchers": [CRITICAL],
        "continue": True,
        **pace(held),
        **({"routes": of_teams} if of_teams else {}),
    }


def by_severity(receiver: str, critical: Pace) -> list[Route]:
    """What is critical is told sooner, critical jobs at once: those that fail together only."""
    at_once = Pace(group_wait=1, group_interval=15, repeat_interval=critical.repeat_interval)
    return [
        {"receiver": receiver, "matchers": [CRITICAL_JOB], **pace(at_once)},
        {"receiver": receiver, "matchers": [CRITICAL], **pace(critical)},
    ]


def root(group_by: Sequence[str], warning: Pace, routes: Sequence[Route]) -> Route:
    """The route of everything: what no other one takes is told at the pace of warnings.

    The last route says that once more: an alert that has matched one, also one that continues, never comes back here.
    """
    all_routes = [*routes, {"receiver": EVERYBODY}]
    return {"receiver": EVERYBODY, "group_by": list(group_by), **pace(warning), "routes": all_routes}


def nothing_to_say() -> Route:
    """What explains something else wakes nobody."""
    return {"receiver": NOBODY, "matchers": [INFO]}


def team_route(team: Team, critical: Pace) -> Route:
    """A team's alerts go to the team alone."""
    receiver = team_receiver(team)
    return {"receiver": receiver, "matchers": matchers_of(team), "routes": by_severity(receiver, critical)}


def matchers_of(team: Team) -> list[str]:
    """Which alerts are a team's."""
    return list(team.matchers) or [f'team="{team.name}"']
