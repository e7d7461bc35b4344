"""Celery with its results and its beat in Django's database does known work: see events.py.

The broker is a folder, the environment's QUEUES. The stage `beat` runs beat, beside the worker.
"""

import os
import sys
import time
import uuid
from urllib.parse import parse_qs, unquote, urlsplit

from events import began, ran, say

DSN, STAGE = sys.argv[1:3]
FOLDER = os.environ["QUEUES"]


def database() -> dict:
    parts = urlsplit(DSN)
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": options.pop("port", str(parts.port or "")),
        "OPTIONS": options,
    }


import django  # noqa: E402
from django.conf import settings  # noqa: E402

settings.configure(
    SECRET_KEY="x",
    USE_TZ=True,
    INSTALLED_APPS=["django.contrib.contenttypes", "django_celery_beat", "django_celery_results"],
    DATABASES={"default": database()},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
)
django.setup()

from celery import Celery  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask  # noqa: E402
from kombu.transport import filesystem  # noqa: E402
from kombu.utils.json import dumps  # noqa: E402


class Channel(filesystem.Channel):
    """The folder's channel, but a message is there when it is whole: the worker may look while it is being written."""

    def _put(self, queue, payload, **_):
        name = os.path.join(self.data_folder_out, f"{time.monotonic_ns()}_{uuid.uuid4()}")
        with open(f"{name}.part", "w") as file:
            file.write(dumps(payload))
        os.rename(f"{name}.part", f"{name}.{queue}.msg")


filesystem.Transport.Channel = Channel
app = Celery("driver")
app.conf.update(
    broker_url="filesystem://",
    broker_transport_options={"data_folder_in": FOLDER, "data_folder_out": FOLDER, "control_folder": FOLDER + "-ctl"},
    result_backend="django-db",
    result_extended=True,
    task_track_started=True,
    beat_scheduler="django_celery_beat.schedulers:DatabaseScheduler",
    worker_send_task_events=False,
    worker_redirect_stdouts=False,
    beat_max_loop_interval=1,
)


@app.task(name="add", bind=True)
def add(self):
    ran("add", "success", self.request.id, self.request.retries)
    return {"ok": True}


@app.task(name="boom", bind=True)
def boom(self):
    ran("boom", "failed", self.request.id, self.request.retries)
    raise ValueError("boom")


@app.task(name="flaky", bind=True, max_retries=5)
def flaky(self):
    failed = self.request.retries < 2
    ran("flaky", "failed" if failed else "success", self.request.id, self.request.retries)
    if failed:
        raise self.retry(countdown=1, exc=RuntimeError(f"flaky {self.request.retries}"))


@app.task(name="late", bind=True, soft_time_limit=3)
def late(self):
    ran("late", "timeout", self.request.id, self.request.retries)
    time.sleep(600)


@app.task(name="long", bind=True)
def long(self):
    began("long", self.request.id)
    time.sleep(600)


@app.task(name="tick", bind=True)
def tick(self):
    ran("tick", "success", self.request.id, self.request.retries)


def schedules() -> None:
    every, _ = IntervalSchedule.objects.get_or_create(every=5, period="seconds")
    PeriodicTask.objects.update_or_create(name="ticking", defaults={"interval": every, "task": "tick"})
    hourly, _ = CrontabSchedule.objects.get_or_create(minute="0", hour="*")
    PeriodicTask.objects.update_or_create(name="hourly", defaults={"crontab": hourly, "task": "tick"})
    PeriodicTask.objects.update_or_create(name="paused", defaults={"crontab": hourly, "task": "tick", "enabled": False})


def main() -> None:
    for folder in (FOLDER, FOLDER + "-ctl"):
        os.makedirs(folder, exist_ok=True)
    if STAGE == "install":
        call_command("migrate", verbosity=0)
        return
    if STAGE == "beat":
        # What is new between its first look and its second would never be noticed.
        while not PeriodicTask.objects.filter(name="paused").exists():
            time.sleep(0.1)
        app.Beat(loglevel="ERROR", schedule=None, pidfile=None).run()
        return
    if STAGE == "work":
        schedules()
        for _ in range(4):
            add.delay()
        for one in (boom, flaky, late, long):
            one.delay()
        add.apply_async(countdown=3600)
    connections.close_all()  # what the worker forks must not share them
    say(working=True)
    app.worker_main(["worker", "-c", "3", "-l", "ERROR", "-n", "w1@host-a", "--without-gossip", "--without-mingle"])
