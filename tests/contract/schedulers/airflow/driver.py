"""Airflow does known work: see ../events.py; dags.py is what it runs, and writes events into the file EVENTS.

`install` makes its tables; `work` starts a scheduler, a triggerer, an API server and what parses the DAGs.
"""

import os
import socket
import sys
from pathlib import Path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def main() -> None:
    dsn, stage = sys.argv[1:3]
    here, home, port = Path(__file__).parent, Path(os.environ["QUEUES"]), free_port()
    home.mkdir(parents=True, exist_ok=True)
    settings = {
        "DATABASE__SQL_ALCHEMY_CONN": dsn.replace("postgresql:", "postgresql+psycopg2:", 1),
        "CORE__DAGS_FOLDER": str(here),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "4",
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "API__PORT": port,
        "API__HOST": "127.0.0.1",
        "API_AUTH__JWT_SECRET": "of this test and no other, and long enough to be one",
        "LOGGING__WORKER_LOG_SERVER_PORT": free_port(),
        "LOGGING__TRIGGER_LOG_SERVER_PORT": free_port(),
        "DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    }
    os.environ.update({f"AIRFLOW__{name}": value for name, value in settings.items()}, AIRFLOW_HOME=str(home))
    os.environ["EVENTS"] = str(home.parent / "events.log")
    # It starts its own parts as commands.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["db", "migrate"] if stage == "install" else ["standalone"]
    os.execv(sys.executable, [sys.executable, "-m", "airflow", *command])
