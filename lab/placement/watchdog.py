"""A watchdog, which keeps a program and all that the program starts from outliving the lab.

It is a script of its own, without the lab and site-packages, and runs once for every program:

    python -I -S watchdog.py FOLDER PROGRAM ARGUMENT…

The watchdog starts the program, writes the program's pid to standard output and waits. Each byte on
standard input is the number of a signal to pass on: those that no program can handle (KILL, STOP and CONT)
go to the program and all that it started, others to the program alone. Once standard input ends, because the
process at its other end is gone, the watchdog kills them all; once the program has ended, it kills what is
left of the others, removes FOLDER (unless that is empty text) and ends too. As a process of one thread it can
also have Linux kill the program if the watchdog itself is killed, and adopt what the program leaves behind;
on other systems the program then runs on, and what left its process group is not found.
"""

from __future__ import annotations

import os
import resource
import select
import shutil
import signal
import sys
import time
from contextlib import suppress

__all__ = ["main"]

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
END_S = 5.0
"""How long what a program left behind may take to be gone once it is killed."""
TO_ALL = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT)
FILES = 8192
"""How many files the program may have open, as far as the system allows: two for every request in flight."""


def main(folder: str, command: list[str]) -> int:
    """Watch the program until it has ended. Return its status, as a shell would."""
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    watchdog = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(command, watchdog)
    os.write(1, b"%d\n" % pid)
    os.close(1)
    status = _wait(pid, woken)
    _end_all(pid)
    if folder:
        shutil.rmtree(folder, ignore_errors=True)
    return os.waitstatus_to_exitcode(status) % 256


def _wait(pid: int, woken: int) -> int:
    """Pass signals on until the program has ended. Return its status."""
    sources = [0, woken]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if woken in ready:
            os.read(woken, 4096)
        statuses = _reap()
        if pid in statuses:
            return statuses[pid]
        if 0 in ready:
            numbers = os.read(0, 4096)
            if not numbers:
                sources.remove(0)
            for number in numbers or (signal.SIGKILL,):
                if number in TO_ALL:
                    _signal_all(pid, number)
                else:
                    os.kill(pid, number)


def _reap() -> dict[int, int]:
    """Collect children that have ended, adopted ones too. Return their statuses by pid."""
    statuses = {}
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            statuses[pid] = status
    except ChildProcessError:
        pass
    return statuses


def _end_all(pid: int) -> None:
    """Kill what the program has left behind, and wait until it is gone."""
    until = time.monotonic() + END_S
    while time.monotonic() < until:
        left = _signal_all(pid, signal.SIGKILL)
        _reap()
        if not left:
            return
        time.sleep(0.005)


def _signal_all(pid: int, number: int) -> bool:
    """Signal the program and all that it started. Return whether there was any."""
    found = _descendants()
    for each in found:
        _signal(each, number)
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return bool(found)
    return True


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _descendants() -> list[int]:
    """Return the pids of all processes below this one, where the system tells (Linux)."""
    parents = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    state, parent = stat.read().rpartition(b") ")[2].split()[:2]
            except OSError:
                continue
            if state != b"Z":
                parents[int(name)] = int(parent)
    found = [os.getpid()]
    for above in found:
        found += [pid for pid, parent in parents.items() if parent == above]
    return found[1:]


def _become(command: list[str], watchdog: int) -> None:
    """Turn the new process into the program: it must never come back from here."""
    try:
        os.setpgid(0, 0)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES if most < 0 else min(FILES, most), most))
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        if os.getppid() == watchdog:  # else the watchdog ended before this process asked to end with it
            os.execvp(command[0], command)
    except BaseException as error:
        os.write(2, f"{command[0]} cannot be run: {error}\n".encode())
    finally:
        os._exit(127)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
