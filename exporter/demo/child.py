"""Becomes another program that ends with its parent: ``child.py PARENT_PID SIGNAL UID:GID|- COMMAND...``.

A program of its own, not ``preexec_fn``: that runs Python between fork and exec, which is unsafe (and warned
of) as soon as the parent has threads. Imports nothing of the package, so that it starts in 20 ms.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Drop root if asked, tie this process to its parent, and turn into the command."""
    parent, signal_number, identity, *command = arguments
    if identity != "-":
        uid, _, gid = identity.partition(":")
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if sys.platform == "linux":
        # After setuid, which clears it; exec keeps it.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != int(parent):  # it died before we asked to be told
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
