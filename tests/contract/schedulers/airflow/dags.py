"""What Airflow runs: see ../events.py. Each task writes what became of it into the file EVENTS names."""

import json
import os
import time
from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, task


def say(**event):
    with open(os.environ["EVENTS"], "a") as file:
        file.write(json.dumps(event) + "\n")


def ran(name, outcome, ti):
    say(ran=f"work.{name}", outcome=outcome, job=str(ti.id), attempt=ti.try_number - 1)


@dag(
    schedule=timedelta(minutes=1),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
)
def work():
    @task
    def add(ti=None):
        ran("add", "success", ti)

    @task(retries=0)
    def boom(ti=None):
        ran("boom", "failed", ti)
        raise ValueError("boom")

    @task(retries=3, retry_delay=timedelta(seconds=2))
    def flaky(ti=None):
        failed = ti.try_number < 3
        ran("flaky", "failed" if failed else "success", ti)
        if failed:
            raise RuntimeError(f"flaky {ti.try_number}")

    @task
    def down():
        pass

    add()
    flaky()
    boom() >> down()


@dag(schedule="@once", start_date=datetime(2026, 1, 1, tzinfo=UTC), is_paused_upon_creation=False)
def endless():
    @task
    def long(ti=None):
        say(began="endless.long", job=str(ti.id))
        time.sleep(600)

    long()


work()
endless()
