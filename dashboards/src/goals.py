"""Goals and habits (pack scheduling-worker): completion, streaks, delivery of reminders, engagement of users."""

from __future__ import annotations

from typing import Any

from dashboards.src import panels as p
from dashboards.src.board import Frame
from dashboards.src.queries import Query, hourly, hourly_share, increase, rate, select, share, total

CREATED, COMPLETED = "scheduling_goals_created_total", "scheduling_goals_completed_total"
HABITS, DONE = "scheduling_habits_created_total", "scheduling_habits_completed_total"
STREAKS = "scheduling_habit_streaks_current"
#: Of streaks, in the order in which people read them.
LENGTHS = ("1-6", "7-29", "30-99", "100+")
REMINDERS, EMAILS = "scheduling_habit_reminders_sent_total", "scheduling_emails_sent_total"
ACTIONS, USERS = "scheduling_user_actions_total", "scheduling_users_active"
DELIVERED = {"delivered": p.GOOD, "sent": p.GOOD, "failed": p.BAD, "bounced": p.WARN}
DAY = "24h"


def now() -> list[Any]:
    """Numbers of the last day."""
    day = [
        ("Goals created", CREATED, "Goals that were created within 24 hours."),
        ("Goals completed", COMPLETED, "Goals that were completed within 24 hours."),
        ("Habits created", HABITS, "Habits that were created within 24 hours."),
        ("Habits completed", DONE, "Completions of habits within 24 hours."),
    ]
    delivered = share(total(increase(REMINDERS, 'status="delivered"', over=DAY)), total(increase(REMINDERS, over=DAY)))
    return [
        *(
            p.number(
                title, text, "locale", Query(total(increase(metric, over=DAY)), title.lower()), size=(4, 4), decimals=0
            )
            for title, metric, text in day
        ),
        p.number(
            "Reminders delivered",
            "Share of the reminders of 24 hours that were delivered.",
            "percentunit",
            Query(delivered, "delivered"),
            steps=((None, p.BAD), (0.9, p.WARN), (0.98, p.GOOD)),
            decimals=1,
            size=(4, 4),
        ),
        p.number(
            "Active users",
            "Users who did anything within 24 hours.",
            "short",
            Query(total(select(USERS)), "users"),
            size=(4, 4),
        ),
    ]


def goals() -> list[Any]:
    """Goals and habits."""
    return [
        p.graph(
            "Goals completed for each created",
            "Goals completed within 24 hours divided by goals created within 24 hours, by category.",
            "percentunit",
            Query(
                share(total(increase(COMPLETED, over=DAY), "category"), total(increase(CREATED, over=DAY), "category")),
                "{{category}}",
            ),
            legend="right",
        ),
        p.hours(
            "Goals by the hour",
            "Goals created and completed within each hour; the last bar is the hour that is not over yet.",
            Query(hourly(CREATED), "created"),
            Query(hourly(COMPLETED), "completed"),
            colours={"created": p.CALM, "completed": p.GOOD},
        ),
        p.hours(
            "Habits completed by the hour",
            "Completions of habits within each hour, by how often the habit is due.",
            Query(hourly(DONE, "frequency"), "{{frequency}}"),
            stack=True,
        ),
        p.bars(
            "Streaks now",
            "Habits that are on a streak now, by its length in days.",
            "short",
            Query(f"sort_desc({total(select(STREAKS), 'days')})", "{{days}} days").instant(),
            steps=((None, p.GOOD),),
            size=(12, 8),
        ),
        p.graph(
            "Streaks over time",
            "Habits on a streak, by its length in days. Long ones that vanish together are a fault, not a mood.",
            "short",
            *(Query(total(select(STREAKS, f'days="{days}"')), f"{days} days") for days in LENGTHS),
            stack=True,
            decimals=0,
            size=(24, 7),
        ),
    ]


def messages() -> list[Any]:
    """What is sent to users, and what they do."""
    return [
        p.hours(
            "Reminders by outcome",
            "Reminders of habits within each hour, delivered and failed.",
            Query(hourly(REMINDERS, "status"), "{{status}}"),
            stack=True,
            colours=DELIVERED,
        ),
        p.graph(
            "Reminders delivered by channel",
            "Share of the reminders of an hour that were delivered, by channel.",
            "percentunit",
            Query(hourly_share(REMINDERS, 'status="delivered"', "channel"), "{{channel}}"),
            top=1,
        ),
        p.hours(
            "Emails by outcome",
            "Emails within each hour by outcome.",
            Query(hourly(EMAILS, "status"), "{{status}}"),
            stack=True,
            colours=DELIVERED,
        ),
        p.graph(
            "Engagement",
            "What users do in a second, by action.",
            "ops",
            Query(total(rate(ACTIONS), "action"), "{{action}}"),
            stack=True,
            legend="right",
        ),
        p.graph(
            "Users active within 24 hours",
            "Users who did anything within the 24 hours before, by store.",
            "short",
            Query(total(select(USERS), "store"), "{{store}}"),
            decimals=0,
            size=(24, 6),
        ),
    ]


def build() -> Frame:
    """The frame with its rows."""
    return Frame(
        name="goals",
        title="Goals and habits",
        description=(
            "Completion of goals and habits, streaks, reminders and engagement, from the pack scheduling-worker."
        ),
        rows=[("The last 24 hours", now()), ("Goals and habits", goals()), ("Reminders and engagement", messages())],
        source=CREATED,
        since="now-24h",
        runbooks=False,
    )
