"""Which API is spoken for which kind of store. A new kind is a module with its class, and a branch here."""

from __future__ import annotations

from exporter.config.model import ChronosStore, NativelinkStore
from exporter.instruments import RequestInstruments
from exporter.outbound import Reveal
from exporter.snapshot import Hub
from exporter.stores.http.around import Around
from exporter.stores.http.chronos import Chronos
from exporter.stores.http.client import Client
from exporter.stores.http.nativelink import Nativelink
from exporter.stores.http.store import Api, ApiStore


def open_api(
    config: NativelinkStore | ChronosStore, *, hub: Hub, reveal: Reveal, instruments: RequestInstruments
) -> ApiStore:
    """The store of this configuration. ``reveal`` gives the text of a secret, each time it is needed."""
    client, around = Client(config, reveal, instruments), Around(hub, config.name)
    api: Api
    match config:
        case NativelinkStore():
            api = Nativelink(config, client, around)
        case ChronosStore():
            api = Chronos(config, client, around)
    return ApiStore(config, api, hub=hub, around=around)
