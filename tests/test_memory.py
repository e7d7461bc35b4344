"""What of the process's memory is given back, in this process and in one of its own, as ``serve`` does it."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

from exporter.memory import trim_memory, unwritten

SMAPS = """\
559f5d000000-559f5d001000 r--p 00000000 fe:00 42                         /usr/lib/libread.so
Rss:                   4 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
7f0000000000-7f0000200000 r-xp 00001000 fe:00 42                         /usr/lib/libread.so
Anonymous:             0 kB
7f0000200000-7f0000300000 r--p 00200000 fe:00 42                         /usr/lib/librelocated.so
Anonymous:            12 kB
7f0000300000-7f0000400000 rw-p 00300000 fe:00 42                         /usr/lib/libwritten.so
Anonymous:             0 kB
7f0000400000-7f0000500000 r-xs 00300000 fe:00 42                         /usr/lib/libshared.so
Anonymous:             0 kB
7f0000500000-7f0000600000 r--p 00000000 00:00 0
Anonymous:             0 kB
ffffffffff600000-ffffffffff601000 r-xp 00000000 00:00 0                  [vsyscall]
Anonymous:             0 kB
"""

#: All that is imported, let go of; then each of the large libraries is at work.
PROGRAM = """
import asyncio, sqlite3, ssl
import msgspec, psycopg, yaml
import exporter.app
from exporter.memory import prepare_memory

def pages():
    with open("/proc/self/status") as status:
        return int(next(line.split()[1] for line in status if line.startswith("RssFile:")))

before = pages()
prepare_memory()
print(before, pages())
ssl.create_default_context()
asyncio.run(asyncio.sleep(0))
sqlite3.connect(":memory:").execute("SELECT count(*) FROM sqlite_master").fetchone()
try:
    psycopg.connect("host=127.0.0.1 port=1 sslmode=require connect_timeout=2")
except psycopg.OperationalError:
    print(msgspec.json.encode(yaml.safe_load("well: true")).decode())
"""


def test_what_only_a_cycle_holds_is_freed_with_the_memory_that_is_given_back() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.own = self

    gc.disable()
    try:
        cycle = weakref.ref(Cycle())
        assert cycle() is not None
        trim_memory()
        assert cycle() is None
    finally:
        gc.enable()


def test_only_what_nothing_has_written_of_a_file_is_let_go_of() -> None:
    assert list(unwritten(SMAPS)) == [(0x559F5D000000, 0x559F5D001000), (0x7F0000000000, 0x7F0000200000)]


def test_the_pages_that_loading_has_read_are_let_go_of_and_come_back() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    figures, said = run.stdout.splitlines()
    before, after = map(int, figures.split())
    assert after < before / 2
    assert said == '{"well":true}'
