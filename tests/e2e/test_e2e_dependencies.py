"""Dependencies of a whole sidecar: one that is required and goes away and comes back, and one that a reload removes."""

from __future__ import annotations

import json
from pathlib import Path

from support.polling import until
from support.ports import free_port
from support.redis_server import redis_server
from support.sidecar import HOST, StartSidecar, one_store

PASSWORD = "sentinel-of-redis"


def test_a_required_one_decides_on_readiness_and_its_counters_never_fall(
    tmp_path: Path, start_sidecar: StartSidecar
) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD}\n")
    quick = {"interval": "200ms", "timeout": "20s"}
    with redis_server(tmp_path / "redis", password=PASSWORD) as redis:
        queue = {
            "name": "queue",
            "kind": "redis",
            "url": redis.url,
            "password": f"${{file:{secret}}}",
            "required": True,
        }
        away = {"name": "away", "kind": "tcp", "host": HOST, "port": free_port()}
        # No store is there: what is checked beside it does not care.
        config = {
            "environment": "test",
            "web": {"enable_lifecycle": True},
            **one_store(f"postgresql://x@{HOST}:{free_port()}/x"),
            "dependencies": [{**queue, **quick}, {**away, **quick}],
        }
        sidecar = start_sidecar(config)

        def up(name: str) -> float:
            return sidecar.metrics().value("scheduling_dependency_up", name=name)

        def hits() -> float:
            return sidecar.metrics().value("scheduling_redis_keyspace_hits_total", name="queue")

        until(lambda: up("queue") == 1 and up("away") == 0, 60, "both were checked")
        assert sidecar.get("/health/ready").status == 200
        redis.command("SET", "there", "1")
        for _ in range(5):
            redis.command("GET", "there")
        until(lambda: hits() == 5, 60, "hits are counted")

        redis.stop()
        until(lambda: up("queue") == 0, 60, "it is seen that Redis is gone")
        ready = sidecar.get("/health/ready")
        assert ready.status == 503
        checks = json.loads(ready.text)["checks"]
        assert checks["dependency queue"] == {"status": "fail", "detail": "down"}
        assert checks["dependency away"] == {"status": "fail", "detail": "down"}
        assert hits() == 5

        redis.start()
        redis.command("SET", "there", "1")
        redis.command("GET", "there")
        until(lambda: hits() == 6, 60, "counting goes on")
        assert sidecar.get("/health/ready").status == 200
        assert "Dependency away is down" in sidecar.get("/").text

        sidecar.configure({**config, "dependencies": [{**queue, **quick}]})
        assert sidecar.reload().status == 200
        page = sidecar.metrics()
        assert set(page.by("name", "scheduling_dependency_up")) == {"queue"}
        assert page.value("scheduling_redis_keyspace_hits_total", name="queue") >= 6
        shown = [sidecar.log, sidecar.get("/config").text, sidecar.get("/metrics").text, sidecar.get("/").text]
        assert not [text for text in shown if PASSWORD in text]
        downs = [event["dependency"] for event in sidecar.events("dependency is down")]
        assert sorted(downs) == ["away", "queue"]  # said when it began, not each time
        assert sidecar.stop() == 0
