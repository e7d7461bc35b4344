"""Shipped profiles by their tables: each in any schema, its variants, prefixes and versions, known ones and others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict
from stores.test_detect import asking, execute
from support.postgres import Database
from support.sidecar import run_command

from exporter.config.model import Dsn, Duration, PostgresStore
from exporter.stores import catalog, recognition
from exporter.stores.profile import Shipped, fill, shipped, varied

FORMS = [
    pytest.param(form, id=f"{profile.name}-{variant.name}" if variant else profile.name)
    for profile in shipped().values()
    for variant in (*profile.variants, None)
    for form in [(profile, variant)]
    if profile.requires and (variant is not None or profile.jobs or profile.executions)
]


def tables(profile: Shipped, schema: str) -> list[str]:
    """The statements that make what a profile requires, in text columns: enough to be recognised by."""
    columns: dict[str, list[str]] = {}
    for requirement in profile.requires:
        relation, _, names = requirement.rstrip(")").partition("(")
        listed = columns.setdefault(relation, [])
        listed += [name.strip() for name in names.split(",") if name.strip() not in listed]
    made = [f"CREATE TABLE {name} ({', '.join(f'{c} text' for c in cs)})" for name, cs in columns.items()]
    return [f'CREATE SCHEMA IF NOT EXISTS "{schema}"', *made]


@pytest.mark.parametrize("form", FORMS)
async def test_each_form_is_recognised_in_a_schema_of_another_name(
    database: Database, form: tuple[Shipped, object]
) -> None:
    profile, variant = form
    parameters = {"schema": "Work Here", **({"prefix": "our_"} if "prefix" in profile.parameters else {})}
    filled = fill(profile, parameters)
    chosen = varied(filled, next(v for v in filled.variants if v.name == variant.name)) if variant else filled  # type: ignore[attr-defined]
    execute(database, *tables(chosen, "Work Here"))
    async with asking(database.dsn) as transaction:
        found, _ = await recognition.search(transaction, {})
    assert [(one.profile.name, one.variant) for one in found] == [(profile.name, variant.name if variant else None)]  # type: ignore[attr-defined]
    assert {name: found[0].profile.parameters[name] for name in parameters} == parameters


@pytest.mark.parametrize("profile", [p for p in shipped().values() if p.schema_version], ids=lambda p: p.name)
def test_a_profile_with_versions_names_those_that_were_tried(profile: Shipped) -> None:
    assert profile.schema_version is not None
    assert profile.schema_version.known


def boss(version: int) -> list[str]:
    filled = fill(shipped()["pg-boss"], {})
    chosen = varied(filled, filled.variants[1])
    return [*tables(chosen, "pgboss"), f"INSERT INTO pgboss.version VALUES ({version})"]


def test_a_version_that_was_not_tried_is_said_not_guessed(database: Database) -> None:
    execute(database, *boss(99))
    told = run_command("profile", "detect", "--dsn", database.dsn)
    assert told.returncode == 0, told.stderr
    assert "schema        version 99\n" in told.stdout
    assert "schema version 99 is none of those that were tried: 24 (pg-boss 10.4); 43 (pg-boss 12.35)" in " ".join(
        told.stdout.split()
    )
    [found] = json.loads(run_command("profile", "detect", "--json", "--dsn", database.dsn).stdout)["found"]
    assert (found["profile"], found["schema_version"]) == ("pg-boss", "99")
    assert "releases" not in found


def test_a_version_that_was_tried_is_told_with_its_releases(database: Database) -> None:
    execute(database, *boss(43))
    [found] = json.loads(run_command("profile", "detect", "--json", "--dsn", database.dsn).stdout)["found"]
    assert (found["schema_version"], found["releases"]) == ("43", "pg-boss 12.35")
    assert "doubt" not in found
    assert found["faults"]  # columns of text are not what pg-boss has


def test_several_are_all_told(database: Database) -> None:
    execute(database, *boss(43), *tables(fill(shipped()["pgqueuer"], {"schema": "other"}), "other"))
    told = run_command("profile", "detect", "--dsn", database.dsn)
    assert "profile: pg-boss" in told.stdout
    assert "profile: pgqueuer" in told.stdout
    assert '{"schema":"other","prefix":""}' in told.stdout


def test_nothing_known_is_an_exit_status(database: Database) -> None:
    told = run_command("profile", "detect", "--dsn", database.dsn)
    assert (told.returncode, "none that is known" in told.stdout) == (1, True)


def test_the_environment_says_what_the_dsn_does_not(database: Database) -> None:
    """A password need not stand on the command line."""
    execute(database, *boss(43))
    given = conninfo_to_dict(database.dsn)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
    environment = {name: str(given[key]) for name, key in names.items()}
    told = run_command("profile", "detect", environment=environment)
    assert told.returncode == 0, told.stderr
    assert f"{database.name} at {given['host']}, port {given['port']}" in told.stdout
    assert str(given["password"]) not in told.stdout


def test_no_server_is_told_in_words() -> None:
    told = run_command("profile", "detect", "--dsn", "postgresql://127.0.0.1:1/x")
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    assert "refused" in told.stderr.lower()


def test_the_skeleton_is_a_profile_that_works(database: Database, tmp_path: Path) -> None:
    """What `profile new` writes, put into a configuration as it stands, for the tables that it speaks of."""
    execute(
        database,
        "CREATE TABLE tasks (id bigint PRIMARY KEY, kind text, queue text, state text, due_at timestamptz)",
        "CREATE TABLE task_runs (id bigint PRIMARY KEY, task_id bigint, outcome text, attempt int,"
        " started_at timestamptz, ended_at timestamptz)",
        "CREATE INDEX ON task_runs (ended_at); CREATE INDEX ON task_runs (task_id); CREATE INDEX ON tasks (state)",
        "INSERT INTO tasks SELECT n, 'work', 'main', 'done', now() FROM generate_series(1, 3) n",
        "INSERT INTO task_runs SELECT n, n, 'ok', 1, now(), now() FROM generate_series(1, 3) n",
    )
    written = run_command("profile", "new", "it's: mine", "--output", "profile.yaml", directory=tmp_path)
    assert written.returncode == 0, written.stderr
    assert run_command("profile", "new", "--output", "profile.yaml", directory=tmp_path).returncode == 1  # it is there
    profile = yaml.safe_load((tmp_path / "profile.yaml").read_text())
    store = {"name": "main", "dsn": database.dsn, "profile": profile}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"stores": [store]}))
    told = run_command("profile", "check", "--json", directory=tmp_path)
    [report] = json.loads(told.stdout)["stores"]
    assert report["profile"] == "it's: mine"
    findings = [
        *report["findings"],
        *(f for part in (*report["entities"], *report["statements"]) for f in part["findings"]),
    ]
    assert not [finding for finding in findings if finding["level"] != "note"], findings


async def test_finished_rows_that_are_gone_before_the_next_poll_are_said(database: Database) -> None:
    """Oban for Elixir keeps what finished for a minute unless told otherwise."""
    execute(database, (Path(__file__).parents[1] / "contract" / "schemas" / "oban_elixir.sql").read_text())
    for interval, expected in ((15, 0), (45, 1)):
        store = PostgresStore(name="s", dsn=Dsn(database.dsn), interval=Duration(interval))
        async with asking(database.dsn) as transaction:
            found = await recognition.resolve(transaction, store)
            wrapped = await catalog.wrap(transaction, found.profile)
            exactness = await catalog.exactness(transaction, wrapped, await catalog.server(transaction), store)
        assert sum("deletes what finished after 1m" in reason for reason in exactness.reasons) == expected


def test_what_the_role_may_not_look_at_is_told_beside_what_was_found(database: Database) -> None:
    """The catalog tells of a schema that the role may not use, too: a scheduler is there, or a look-alike."""
    role = f"reader_{database.name}"
    execute(
        database,
        *boss(43),
        "CREATE SCHEMA closed",
        *tables(fill(shipped()["pgqueuer"], {"schema": "closed"}), "closed"),
    )
    execute(database, "CREATE SCHEMA shop", "CREATE TABLE shop.job (id int, title text)")
    execute(
        database,
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'",
        f"GRANT USAGE ON SCHEMA pgboss TO {role}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA pgboss TO {role}",
    )
    try:
        told = run_command("profile", "detect", "--json", "--dsn", database.dsn_as(role, "x"))
        report = json.loads(told.stdout)
        assert [one["profile"] for one in report["found"]] == ["pg-boss"]
        (near,) = report["near"]
        assert near.startswith("pgqueuer (schema: closed, prefix: ) nearly fits: this role may not look at it. Run: ")
        assert f"GRANT USAGE ON SCHEMA closed TO {role}; GRANT SELECT ON closed.pgqueuer" in near
        assert "nearly        pgqueuer" in run_command("profile", "detect", "--dsn", database.dsn_as(role, "x")).stdout
    finally:
        execute(database, f"DROP OWNED BY {role}; DROP ROLE {role}")
