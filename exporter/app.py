"""The running program: one exit stack, one task group, and the reload that swaps stores and targets."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from exporter import __version__, alertmanager, logs
from exporter.actions import Actions
from exporter.alertmanager import AlertSource
from exporter.announcing import Announcer
from exporter.api import FAMILIES
from exporter.changes import address, before_the_end, opened_with, refuse_fixed
from exporter.config.model import AnyStore, Config, PostgresStore, Target
from exporter.config.model import Vault as VaultSection
from exporter.config.redact import redacted
from exporter.connections import ConnectionManager
from exporter.connections.roster import Roster
from exporter.credentials import CredentialSource
from exporter.dependencies import Dependencies
from exporter.domain import AuditEntry, AuditResult
from exporter.errors import ConfigError, StateUnavailable
from exporter.httpd.context import Context, ReloadResult
from exporter.httpd.server import Server
from exporter.httpd.sessions import Sessions
from exporter.instruments import ApiInstruments, QueryInstruments, RequestInstruments
from exporter.ledger.alerts import AlertHistory
from exporter.ledger.audit import AuditTrail
from exporter.ledger.idempotency import Idempotency
from exporter.ledger.ledger import Ledger, Opened
from exporter.memory import prepare_memory, trim_memory
from exporter.metrics import COLLECTORS, probe
from exporter.metrics.exposure import Exposure
from exporter.metrics.process import objectives, sample, thresholds
from exporter.metrics.render import Renderer
from exporter.open_stores import OpenStores, look_up
from exporter.options import Options
from exporter.packs.chosen import Packs
from exporter.pages.families import PAGES
from exporter.pages.home import Landing, reference
from exporter.poller import Poller
from exporter.remediation import Remediation
from exporter.sharding import Share
from exporter.snapshot import Hub, Part
from exporter.stores.http.history import History
from exporter.summaries import Summaries
from exporter.telemetry import telling
from exporter.vault import Vault
from exporter.vault.references import Secrets, load
from exporter.vitals import LoopClock, Vitals

log = structlog.get_logger(component="app")

#: Seconds between two samples of the process itself.
PROCESS_INTERVAL: Final = 5.0
#: Seconds between two looks at the state file.
STATE_INTERVAL: Final = 3.0
#: Seconds after which memory that is free within the process goes back to the system.
TRIM_INTERVAL: Final = 30.0
#: Seconds after which the ledger's thread lets the event loop have a turn: an answer takes several of them.
SWITCH_INTERVAL: Final = 0.003


class App:
    """Everything that runs. ``run`` returns after SIGTERM or SIGINT."""

    def __init__(self, options: Options, config: Config) -> None:
        self._options = options
        self._share = self._share_of(config)
        self._started_at = time.time()
        self._hub = Hub()
        self._poller = Poller(self._hub)
        self._api = ApiInstruments()
        self._queries = QueryInstruments()
        self._requests = RequestInstruments()
        self._clock = LoopClock()
        self._summaries = Summaries(self._hub, self._api, lambda: (self._share.file.log, self._share.polled))
        self._ledger = Ledger(config.state.path, budget=config.limits.series_per_metric, retention=config.retention)
        self._announcer = Announcer(self._hub, self._ledger)
        self._audit = AuditTrail(self._ledger)
        self._vault = Vault(config.vault, hub=self._hub, on_change=lambda: self._connections.hurry("vault"))
        self._secrets = Secrets(self._vault)
        self._connections = ConnectionManager(
            self._hub,
            self._share.config().connections,
            credentials=self._target_credentials,
            release=self._vault.release,
        )
        self._dependencies = Dependencies(self._poller, self._secrets)
        self._roster = Roster(self._connections, config.connections, self._share.listing, owns=self._share.owns)
        self._watching: list[asyncio.Task[None]] = []
        self._alerts = AlertSource(lambda: self._config.alerting, self._secrets.value)
        self._stores = OpenStores(
            hub=self._hub,
            poller=self._poller,
            ledger=self._ledger,
            queries=self._queries,
            requests=self._requests,
            secrets=self._secrets,
            roster=self._roster,
            disabled=options.disabled,
            share=f"{options.shard}/{options.total_shards}",
            packs=look_up(config, options.config_file),
        )
        self._actions = Actions(
            store=self._stores.trigger, reveal=self._secrets.value, audit=self._audit, keys=Idempotency(self._ledger)
        )
        self._remediation = Remediation(
            config=lambda: self._config,
            actions=self._actions,
            check=self._connections.check_now,
            reveal=self._secrets.value,
            audit=self._audit,
            history=AlertHistory(self._ledger),
        )
        self._reloading = asyncio.Lock()
        self._reload_ok = True
        self._reload_at = self._started_at
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until told to stop. Raises ConfigError when it cannot start; the state file may come later."""
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(telling(self._config, self._secrets.value))
            await stack.enter_async_context(self._ledger)
            await stack.enter_async_context(self._vault)
            exposure = Exposure(self._ledger.exposed, self._ledger.expose)
            renderer = Renderer(self._hub, COLLECTORS, sources=self._sources, exposure=exposure)
            self._ledger.on_open = functools.partial(self._state_opened, exposure, renderer)
            for store in self._config.stores:
                await self._announce(store)
            await self._dependencies.configure(self._config.dependencies)
            self._sample()
            server = self._server = await stack.enter_async_context(
                Server(self._context(renderer), (*FAMILIES, *PAGES))
            )
            log.info("started", version=__version__, urls=server.urls, stores=len(self._config.stores),
                     targets=len(self._config.connections.targets))  # fmt: skip
            stack.push_async_callback(self._stores.close)
            stack.push_async_callback(self._actions.close)
            await self._serve()
        log.info("stopped")

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup)
        async with asyncio.TaskGroup() as group:
            self._group = group
            tasks = [
                group.create_task(self._clock.run(), name="loop-clock"),
                group.create_task(self._sample_forever(), name="process"),
                group.create_task(self._look_after_state(), name="state"),
                group.create_task(self._audit.run(), name="audit"),
                group.create_task(self._summaries.run(), name="summaries"),
                group.create_task(self._dependencies.run(), name="dependencies"),
                group.create_task(self._remediation.run(), name="remediation"),
            ]
            if self._share.checks:
                tasks.append(group.create_task(self._connections.run(), name="connections"))
                tasks.append(group.create_task(self._roster.run(), name="roster"))
            for store in self._share.asked:
                self._open(store)
            self._watch_alerts()
            await self._stop.wait()
            async with self._reloading:  # what it opened later would never be told to end
                for task in [*tasks, *self._watching, *self._stores.tasks]:
                    task.cancel()

    def _watch_alerts(self) -> None:
        """Count active alerts from now on, where there is anybody to ask."""
        for task in self._watching:
            task.cancel()
        self._hub.withdraw(alertmanager.SOURCE, alertmanager.COLLECTOR)
        asked = self._poller.run(self._alerts.collector()) if self._alerts.configured else None
        self._watching = [] if asked is None else [self._group.create_task(asked, name="alerts")]

    def _on_hangup(self) -> None:
        async def reload() -> None:
            done = await self._reload()
            result: AuditResult = "success" if done.ok else "failed"
            self._audit.record(AuditEntry(at=time.time(), action="reload", actor="SIGHUP", result=result))

        self._hangup = asyncio.create_task(reload(), name="reload")

    # -- stores and targets

    def _share_of(self, config: Config) -> Share:
        options = self._options
        return Share(
            file=config,
            shard=options.shard,
            total=options.total_shards,
            checks="connections" not in options.disabled,
            dependencies="dependencies" not in options.disabled,
        )

    @property
    def _config(self) -> Config:
        """The configuration as it is in force here: this shard's stores, and its targets with those of stores."""
        return self._share.config(self._roster.connections)

    async def _announce(self, store: AnyStore) -> None:
        await self._announcer.announce(store, self._config.limits.series_per_metric)

    def _open(self, config: AnyStore) -> None:
        share = self._share
        self._stores.open(
            config, share.file, self._group, polled=config in share.polled, lists=config.name in share.listing
        )

    def _sources(self) -> Mapping[str, Sequence[str]]:
        return {
            "store": tuple(store.name for store in self._share.polled),
            "connection": tuple(target.name for target in self._roster.connections.targets),
            "pack": self._stores.packs.sources([store.name for store in self._share.polled]),
            "dependency": tuple(dependency.name for dependency in self._config.dependencies),
            "process": ("",),
        }

    def _target_credentials(self, target: Target) -> CredentialSource | None:
        """Who logs in to a target; None for what its configuration spells out."""
        if target.vault is None:
            return self._secrets.login(target.user, target.password)
        return self._vault.source(target.vault, user=target.user, connection=target.name)

    # -- the state file

    async def _look_after_state(self) -> None:
        """Open the state file as soon as that can be; then show what it holds of stores that have not answered yet."""
        while True:
            with contextlib.suppress(StateUnavailable):
                await self._ledger.look_after()
                for store in self._config.stores:
                    await self._announcer.counts(store, only_if_unknown=True)
            await asyncio.sleep(STATE_INTERVAL)

    def _state_opened(self, exposure: Exposure, renderer: Renderer, opened: Opened) -> None:
        """A state file was opened while serving: what it has not counted is shown no longer."""
        exposure.restart(opened.exposed)
        renderer.restart()
        if opened.anew:
            for store in self._config.stores:
                self._stores.withdraw_counts(store.name)

    # -- reload

    def _vault_at(self, section: VaultSection) -> contextlib.AbstractAsyncContextManager[Vault]:
        """Vault as a new configuration has it: the client that is in use, if it is the same one."""
        return contextlib.nullcontext(self._vault) if section == self._config.vault else Vault(section)

    async def _reload(self) -> ReloadResult:
        """Read the configuration again: all of it comes into force, or nothing."""
        async with self._reloading:
            try:
                config = await before_the_end(load(self._options.load, self._vault_at), self._stop)
                logs.scrubber.learn(config)
                refuse_fixed(self._share.file, config)
                self._server.check(config)
                packs = look_up(config, self._options.config_file)
            except ConfigError as e:
                self._reload_ok = False
                self._sample()
                log.error("configuration refused; the last good one stays in force", problems=e.problems)
                return ReloadResult(ok=False, problems=tuple(map(logs.scrubber.text, e.problems)))
            await self._apply(config, packs)
            self._reload_ok, self._reload_at = True, time.time()
            self._sample()
            log.info("configuration reloaded", stores=len(self._share.polled),
                     targets=len(self._roster.connections.targets))  # fmt: skip
            return ReloadResult(ok=True)

    async def _apply(self, config: Config, packs: Packs) -> None:
        old = {store.name: store for store in self._share.asked}
        before = self._share.file
        self._share = self._share_of(config)
        logs.configure(config.log)
        new = {store.name: store for store in self._share.asked}
        await self._vault.apply(config.vault)
        await self._ledger.set_limits(config.limits.series_per_metric, config.retention)
        resized = opened_with(before) != opened_with(config) or packs != self._stores.packs
        for name, store in old.items():
            if new.get(name) != store or resized:
                await self._stores.shut(name)
            if name not in new:
                self._stores.forget(name)
        self._stores.packs = packs
        for name, store in new.items():
            if name not in self._stores:
                if store in self._share.polled:
                    await self._announce(store)
                if name in old and address(old[name]) != address(store):
                    counted = isinstance(old[name], PostgresStore) and isinstance(store, PostgresStore)
                    self._stores.withdraw(name, keep=("settings", "executions") if counted else ("settings",))
                    self._roster.forget(name)
                self._open(store)
        if before.alerting != config.alerting:
            self._watch_alerts()
        await self._dependencies.configure(self._config.dependencies)
        if self._share.checks:
            await self._roster.configure(config.connections, self._share.listing)

    # -- the process itself

    async def _sample_forever(self) -> None:
        trimmed = time.monotonic()
        while True:
            self._sample()
            if time.monotonic() - trimmed >= TRIM_INTERVAL:
                trimmed = time.monotonic()
                trim_memory()
            await asyncio.sleep(PROCESS_INTERVAL)

    def _sample(self) -> None:
        started = time.perf_counter()
        state = sample(
            thresholds=thresholds(self._config),
            objectives=objectives(self._config),
            configured_memory=self._config.limits.memory,
            loop_lag=self._clock.worst(PROCESS_INTERVAL),
            state_bytes=self._ledger.size,
            state_up=self._ledger.writable,
            state_writes=(self._ledger.writes["success"], self._ledger.writes["failure"]),
            reload_successful=self._reload_ok,
            reload_success_at=self._reload_at,
            instruments=(
                self._api.registry,
                self._queries.registry,
                self._requests.registry,
                self._remediation.registry(),
            ),
        )
        self._hub.publish(
            Part(
                collector="process",
                source="",
                value=state,
                success=True,
                collected_at=time.time(),
                collected_mono=time.monotonic(),
                duration=time.perf_counter() - started,
                interval=PROCESS_INTERVAL,
                staleness=60.0,
            )
        )

    def _context(self, renderer: Renderer) -> Context:
        vitals = Vitals(hub=self._hub, poller=self._poller, clock=self._clock, ledger=self._ledger)

        def config() -> Config:
            return self._config

        reload: Callable[[], Awaitable[ReloadResult]] = self._reload
        return Context(
            hub=self._hub,
            history=History(self._ledger, self._hub, config),
            audit=self._audit,
            config=config,
            secret=self._secrets.value,
            redacted_config=lambda: redacted(self._share.config()),
            render=renderer,
            reload=reload,
            instruments=self._api,
            liveness=vitals.liveness,
            readiness=lambda: vitals.readiness(self._config),
            started_at=self._started_at,
            version=__version__,
            reference=reference,
            landing=Landing(),
            sessions=Sessions(config, self._secrets.value),
            reads=self._stores.reads,
            connections=self._connections,
            alerts=self._alerts,
            alert_history=AlertHistory(self._ledger),
            remediation=self._remediation,
            actions=self._actions,
            probe=lambda target: probe.page(self._hub.current, target),
        )


async def serve(options: Options, config: Config) -> int:
    """Run until a signal; the process's exit status. Raises ConfigError when it cannot start."""
    prepare_memory()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        await App(options, config).run()
    except* ConfigError as group:
        raise group.exceptions[0] from None
    return 0
