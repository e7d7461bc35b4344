"""The section ``packs``: which files of SQL metrics are asked of which stores. ``exporter.packs`` reads the files."""

from __future__ import annotations

from exporter.config.base import Section, Text


class PackUse(Section, frozen=True, kw_only=True):
    """A pack, by the name of a shipped one or by its file, and the stores that it is asked of; none named: all.

    ``skip`` names queries of it that are left out.
    """

    pack: Text
    stores: tuple[Text, ...] = ()
    skip: tuple[Text, ...] = ()
