"""A profile's shape: a scheduler's tables as SELECTs with canonical columns (``exporter.stores`` fills them in)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from exporter.config.base import Name, Positive, Section, Sql, Text

CursorKind = Literal["timestamp", "naive_timestamp", "epoch", "epoch_ms", "id"]
History = Literal["none", "final", "per_attempt"]
Outcome = Literal["SUCCESS", "FAILED", "TIMEOUT", "CANCELLED"]


class Cursor(Section, frozen=True, kw_only=True):
    """The column that orders finished executions.

    ``kind`` is timestamp (with time zone), naive_timestamp (UTC), epoch (seconds), epoch_ms or id; ``at_end``
    says whether it is set when the execution ends; ``position`` is the SELECT of an id cursor's greatest
    value. ``seek`` names a bare, indexed column of the same type that never lies before the cursor, for a cursor that
    no index can serve: an attempt kept inside its job's row is looked for by the row's end. ``unfinished`` makes an id
    cursor that is set at the start exact: the SELECT of the lowest id above $1 that has not finished.
    """

    column: Text = "completed_at"
    kind: CursorKind = "timestamp"
    at_end: bool = True
    position: Sql | None = None
    seek: Text | None = None
    unfinished: Sql | None = None


class Selects(Section, frozen=True, kw_only=True):
    """One SELECT for each entity, and what goes with them: of a profile, or of a shipped one's variant.

    ``job_by_id`` gives jobs by a bare, indexed id, for requests that ask for one. It is not needed where ``jobs`` has
    such an id.
    ``connections`` lists servers to check, and may be missing where ``connections_require`` is not met;
    ``connection_status`` is the table that results of those checks go into, ``connection_lease`` the one that says
    which of several exporters writes them; it may be missing.
    ``retention`` is for how long the scheduler keeps what finished, where that may be shorter than a sidecar is down.
    """

    jobs: Sql | None = None
    live_jobs: Sql | None = None
    job_by_id: Sql | None = None
    executions: Sql | None = None
    running: Sql | None = None
    workers: Sql | None = None
    operations: Sql | None = None
    trigger: Sql | None = None
    connections: Sql | None = None
    connection_status: Text | None = None
    connection_lease: Text | None = None
    cursor: Cursor | None = None
    retention: Positive | None = None
    requires: tuple[Text, ...] = ()


class Profile(Selects, frozen=True, kw_only=True):
    """A mapping of a scheduler's tables onto the canonical columns.

    ``history`` is what the scheduler keeps of what finished: nothing, a job's last attempt, or each of them;
    ``outcomes`` are those that it keeps: the others stay unknown.
    ``variant``, ``version`` and ``releases`` are what the live store turned out to have.
    """

    name: Name = "custom"
    description: str = ""
    connections_require: tuple[Text, ...] = ()
    key: Annotated[tuple[Text, ...], Meta(min_length=1)] = ("id", "attempt")
    history: History = "final"
    outcomes: Annotated[tuple[Outcome, ...], Meta(min_length=1)] = ("SUCCESS", "FAILED", "TIMEOUT", "CANCELLED")
    parameters: dict[str, str] = {}
