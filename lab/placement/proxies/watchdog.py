"""A watchdog, which keeps a program from outliving the lab, however the lab ends.

It is a script of its own, without the lab and site-packages, and runs once for every program:

    python -I -S watchdog.py FOLDER PROGRAM ARGUMENT…

The watchdog starts the program, writes the program's pid to standard output and waits. Each byte on
standard input is the number of a signal to pass on. Once standard input ends, because the process at its
other end is gone, the watchdog kills the program; once the program has ended, it removes FOLDER and ends
too. As a process of one thread it can also have Linux kill the program if the watchdog itself is killed; on
other systems the program then runs on.
"""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import sys

__all__ = ["main"]

PR_SET_PDEATHSIG = 1
FILES = 8192
"""How many files the program may have open, as far as the system allows: two for every request in flight."""


def main(folder: str, command: list[str]) -> int:
    """Watch the program until it has ended. Return its status, as a shell would."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    watchdog = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(command, watchdog)
    os.write(1, b"%d\n" % pid)
    os.close(1)
    status = _wait(pid, woken)
    shutil.rmtree(folder, ignore_errors=True)
    return os.waitstatus_to_exitcode(status) % 256


def _wait(pid: int, woken: int) -> int:
    sources = [0, woken]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if woken in ready:
            os.read(woken, 4096)
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        if 0 in ready:
            numbers = os.read(0, 4096)
            if not numbers:
                sources.remove(0)
            for number in numbers or (signal.SIGKILL,):
                os.kill(pid, number)


def _become(command: list[str], watchdog: int) -> None:
    """Turn the new process into the program: it must never come back from here."""
    try:
        _die_with_parent()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if most < 0 else min(FILES, most), most))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        if os.getppid() == watchdog:  # else the watchdog ended before this process asked to end with it
            os.execv(command[0], command)
    except BaseException as error:
        os.write(2, f"{command[0]} cannot be run: {error}\n".encode())
    finally:
        os._exit(127)


def _die_with_parent() -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
