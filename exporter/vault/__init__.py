"""HashiCorp Vault and OpenBao: logging in there, secrets, and leases for as long as somebody uses them.

Belongs here: everything that is said to Vault, and what is remembered of its answers. Does not: logging in to a
database (``stores``, ``connections``), how often a refused login is tried again (``credentials``).
"""

from exporter.vault.client import Vault
from exporter.vault.failure import VaultError
from exporter.vault.secrets import Fetched
from exporter.vault.state import COLLECTOR, OPERATIONS, RESULTS, SOURCE, VaultState

__all__ = ["COLLECTOR", "OPERATIONS", "RESULTS", "SOURCE", "Fetched", "Vault", "VaultError", "VaultState"]
