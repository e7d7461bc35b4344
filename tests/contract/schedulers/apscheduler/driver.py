"""APScheduler 3 with jobs in the database: see events.py."""

import datetime
import sys
import time

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from events import ran, say

DSN, STAGE = sys.argv[1:3]


def tick(name="tick"):
    ran(name, "success", name)


def main() -> None:
    store = SQLAlchemyJobStore(url=DSN.replace("postgresql:", "postgresql+psycopg:", 1))
    scheduler = BackgroundScheduler(jobstores={"default": store}, timezone="UTC")
    scheduler.start(paused=STAGE == "install")
    if STAGE == "install":
        return
    if STAGE == "work":
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
        scheduler.add_job(tick, "interval", seconds=1, id="tick")
        scheduler.add_job(tick, "date", run_date=soon, id="later", args=["later"])
        scheduler.add_job(tick, "cron", hour=3, id="nightly", args=["nightly"])
        scheduler.add_job(tick, "cron", hour=3, id="held", args=["held"])
        scheduler.pause_job("held")
    say(working=True)
    time.sleep(3600)
