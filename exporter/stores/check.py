"""``profile check``."""

from collections.abc import Callable, Sequence
from exporter.config.model import Config


async def check_stores(config: Config, names: Sequence[str], say: Callable[[str], None]) -> int:
    """TBD"""
    return 0
