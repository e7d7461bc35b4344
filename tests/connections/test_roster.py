"""Which targets there are: rows of stores beside the configuration, without collisions, for as long as they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from exporter.config.model import Connections, StoreTargets, Target, VaultCredential
from exporter.config.secrets import Secret
from exporter.connections.listed import RowError, target_of
from exporter.connections.results import CheckResult, ConnectionState, ServerFacts
from exporter.connections.roster import KEPT, Roster, merge
from exporter.directory import StoreConnection
from exporter.sharding import owner


def row(row_id: int | str, name: str | None = None, host: str = "h", **more: Any) -> StoreConnection:
    return StoreConnection(id=row_id, name=name, host=host, **more)


def configured(*names: str, **more: Any) -> Connections:
    return Connections(targets=tuple(Target(name=name, host="c") for name in names), **more)


def test_a_row_is_a_target_with_what_the_configuration_adds() -> None:
    defaults = StoreTargets(user="monitor", password=Secret("p"), sslmode="verify-full", sslrootcert="/ca.pem")
    found = target_of("main", row(3, "Reports"), defaults)
    assert found == Target(
        name="Reports", id=3, host="h", user="monitor", password=Secret("p"), sslmode="verify-full",
        sslrootcert="/ca.pem",
    )  # fmt: skip
    own = target_of("main", row("x", port=6432, database="d", user="u", sslmode="disable"), defaults)
    assert (own.name, own.id, own.port, own.database, own.user, own.sslmode) == (
        "main/x", "x", 6432, "d", "u", "disable",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("database/creds/monitor", VaultCredential(role="database/creds/monitor")),
        ("teams/a/pg/static-creds/app/", VaultCredential(role="teams/a/pg/static-creds/app")),
        ("secret/data/reports", VaultCredential(path="secret/data/reports")),
        ("secret/data/creds/reports", VaultCredential(path="secret/data/creds/reports")),
        ("kv/reports", VaultCredential(path="kv/reports")),
    ],
)
def test_what_a_vault_path_means(path: str, expected: VaultCredential) -> None:
    found = target_of("main", row(1, vault_path=path), StoreTargets(user="monitor", password=Secret("p")))
    assert (found.vault, found.user, found.password) == (expected, None, None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"host": ""}, "host: expected"),
        ({"port": 0}, "port: expected"),
        ({"port": 70000}, "port: expected"),
        ({"sslmode": "on"}, "sslmode: invalid enum value 'on'"),
        ({"name": "n" * 201}, "name: expected"),
        ({"vault_path": "../sys/raw"}, "vault_path: expected a path"),
        ({"vault_path": "secret/data/admin"}, "vault_path: 'secret/data/admin' is none of connections.store_targets"),
    ],
)
def test_a_row_that_cannot_be_a_target(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(RowError, match=f"^{expected}"):
        target_of("main", row(1, **given), StoreTargets(vault_paths=("database/*", "secret/data/databases/*")))


def test_names_and_ids_are_unique_whatever_the_tables_hold() -> None:
    rows = {
        "a": [row(1, "shared"), row(2, "fixed"), row(3, "shared"), row(3, "shared")],
        "b": [row(1, "shared"), row(9, "own"), row(10, None)],
    }
    merged = merge(configured("fixed", "9"), rows)
    assert {name: target.id for name, target in merged.targets.items()} == {
        "fixed": None, "9": None, "shared": 1, "shared (a/3)": 3, "shared (b/1)": "shared (b/1)", "own": "own",
        "b/10": 10,
    }  # fmt: skip
    assert merged.targets["fixed"].host == "c"  # the configuration's
    assert merged.origins == {
        "shared": ("a", 1), "shared (a/3)": ("a", 3), "shared (b/1)": ("b", 1), "own": ("b", 9), "b/10": ("b", 10),
    }  # fmt: skip
    assert {store: set(remarks) for store, remarks in merged.remarks.items()} == {"a": {"2", "3"}, "b": {"1", "9"}}
    assert "says how it is checked" in merged.remarks["a"]["2"]


class Manager:
    """Stands for the connection manager: remembers what it is to check."""

    def __init__(self) -> None:
        self.applied: list[list[str]] = []
        self.states: Mapping[str, ConnectionState] = {}

    async def apply(self, config: Connections) -> None:
        self.applied.append([target.name for target in config.targets])


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_rows_outlive_their_store_by_a_day(capsys: pytest.CaptureFixture[str]) -> None:
    manager, clock = Manager(), Clock()
    roster = Roster(manager, configured("fixed"), ["main"], clock=clock)
    roster.listed("main", (row(1, "one"),))
    clock.now += KEPT
    roster.asked("main")
    assert [target.name for target in roster.connections.targets] == ["fixed", "one"]
    clock.now += 1
    roster.asked("main")
    assert [target.name for target in roster.connections.targets] == ["fixed"]
    roster.asked("main")
    assert capsys.readouterr().out.count("not listed its connections for a day") == 1
    roster.listed("main", (row(1, "one"),))
    assert [target.name for target in roster.connections.targets] == ["fixed", "one"]


async def taken_over() -> None:
    """Let the roster's task do what there is to do."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_manager_is_told_of_changes_only() -> None:
    manager = Manager()
    roster = Roster(manager, configured("fixed"), ["main", "second"])
    task = asyncio.create_task(roster.run())
    try:
        for rows in [(row(1, "one"),), (row(1, "one"),), (row(1, "one"), row(2, "two")), (row(2, "two"),), ()]:
            roster.listed("main", rows)
            await taken_over()
        # The first one is what there is at the start.
        assert manager.applied == [["fixed", "one"], ["fixed", "one", "two"], ["fixed", "two"], ["fixed"]]
        roster.listed("unknown", (row(1, "stray"),))
        await taken_over()
        assert manager.applied[-1] == ["fixed"]
        roster.listed("second", (row(1, "one"),))
        await roster.configure(configured("other"), ["second"])
        assert manager.applied[-1] == ["other", "one"]
        await roster.configure(configured("other"), [])
        assert manager.applied[-1] == ["other"]
        await roster.configure(configured("other"), ["second"])
        assert manager.applied[-1] == ["other"], "what was forgotten is asked for anew"
    finally:
        task.cancel()


async def test_each_row_is_one_shard_s_and_few_move() -> None:
    rows = tuple(row(n, f"server {n}") for n in range(1000))

    def shares(total: int) -> list[set[str]]:
        found = []
        for shard in range(total):
            roster = Roster(Manager(), configured("fixed"), ["main"], owns=lambda n, i=shard: owner(n, total) == i)  # type: ignore[misc]
            roster.listed("main", rows)
            found.append({target.name for target in roster.connections.targets})
        return found

    four, five = shares(4), shares(5)
    for share in (four, five):
        assert sum(map(len, share)) == len(set().union(*share)) == 1001
    moved = [name for before, after in zip(four, five, strict=False) for name in before - after]
    assert 150 < len(moved) < 250 and set(moved) == five[4]


async def test_results_are_those_of_the_store_s_own_rows() -> None:
    manager = Manager()
    roster = Roster(manager, configured("fixed", "same"), ["main", "second"])
    roster.listed("main", (row(5, "one"), row(6, "unchecked"), row(7, "fixed"), row(8, "same", host="c", port=5432)))
    roster.listed("second", (row("x", "two"),))
    facts = ServerFacts(server_version="15.4")
    good = CheckResult(result="ok", finished_at=9.0, response_seconds=0.5, stages={}, facts=facts)
    bad = CheckResult(
        result="auth", finished_at=8.0, response_seconds=1.0, stages={}, failed_stage="auth", error_message="no"
    )

    def state(name: str, result: CheckResult | None) -> ConnectionState:
        return ConnectionState(id=1, name=name, host="h", port=1, database="d", result=result)

    manager.states = {
        "one": state("one", good), "two": state("two", bad), "fixed": state("fixed", good),
        "unchecked": state("unchecked", None), "same": state("same", bad),
    }  # fmt: skip
    one, same = roster.checked("main")
    assert (same.connection_id, same.is_healthy) == (8, False), "the row that the configuration overrides"
    assert (one.connection_id, one.is_healthy, one.last_check, one.server_version) == (5, True, 9.0, "15.4")
    (two,) = roster.checked("second")
    assert (two.connection_id, two.is_healthy, two.error_message, two.failed_stage) == ("x", False, "no", "auth")
