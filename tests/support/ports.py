"""Free TCP ports, for the servers that tests start."""

from exporter.demo.ports import free_or_other, free_port, is_free

__all__ = ["free_or_other", "free_port", "is_free"]
