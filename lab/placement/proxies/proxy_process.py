"""An external load balancer that runs: its process, folder and log, its counts, and what it has used."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from signal import Signals
from typing import Any

from lab.errors import NotRunning, PlacementError, StartFailed
from lab.placement.logs import LogFile
from lab.placement.ports import listen
from lab.placement.proxies.formatting import documented_health, documented_stats
from lab.placement.proxies.proxy import Place, Profile, Proxy, find
from lab.placement.proxies.stats_server import StatsServer
from lab.placement.watched_process import WatchedProcess
from services.balancer.settings import BalancerSettings

__all__ = ["ProxyProcess"]

START_S = 10.0
"""How long a balancer may take to answer after its start."""
POLL_S = 0.005
LONGEST_FOLDER = 85
"""A Unix socket's path has 104 characters at most, on macOS."""


class ProxyProcess:
    """One external load balancer before the instances of one service, from `start` to `stop` or `kill`.

    The program ends with this process, however this one ends. It keeps files in one folder only, which is
    removed with it; its log can be read for as long as this object exists. All methods may be called from any
    thread.
    """

    def __init__(self, proxy: Proxy, settings: BalancerSettings, profile: Profile = Profile.MATCHED) -> None:
        self.settings = settings
        self._proxy = proxy
        self._profile = profile
        self._resources = ExitStack()
        self._process: WatchedProcess | None = None
        self._log: LogFile | None = None
        self._unwanted = threading.Event()
        self._asking = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The pid of the balancer itself, also after the balancer has ended."""
        return self._process.pid if self._process else None

    @property
    def alive(self) -> bool:
        """Whether the balancer runs."""
        return self._process is not None and self._process.alive

    def start(self) -> None:
        """Start the balancer, and wait until it answers.

        Raises NotSupported, ProgramMissing, PortInUse, or StartFailed with the end of the log; then nothing
        is left of the balancer.
        """
        try:
            self._spawn(find(self._proxy.program))
            self._wait_until_ready(time.monotonic() + START_S)
        except BaseException:
            self.kill()
            raise

    def stop(self, grace_s: float) -> None:
        """Have the balancer finish its requests and end; kill it if it still runs after `grace_s` seconds."""
        if self._process is not None:
            self._process.stop(grace_s, self._proxy.stop_signal)
        self.kill()

    def kill(self) -> None:
        """End the balancer as a crash would. A `start` that waits in another thread raises StartFailed."""
        self._unwanted.set()
        if self._process is not None:
            self._process.kill()
        self._resources.close()

    def send_signal(self, number: Signals) -> None:
        """Send the balancer a signal. Raises NotRunning where it has ended."""
        self._running().send_signal(number)

    def stats(self) -> dict[str, Any]:
        """Return what the balancer counted, in the documented shape of /stats.

        Raises PlacementError where the balancer does not say.
        """
        with self._asking:
            try:
                counts = self._counter.counts()
            except (OSError, ValueError, LookupError, http.client.HTTPException) as error:
                raise PlacementError(
                    f"{self.settings.name} ({self._proxy.name}) gave no counts ({error!r}): see its log"
                ) from error
        return documented_stats(self.settings, counts)

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that the balancer has spent. Raises NotRunning once it has ended."""
        return self._running().cpu_seconds()

    def rss_mb(self) -> float:
        """Return the balancer's resident memory, in 10⁶ bytes. Raises NotRunning once it has ended."""
        return self._running().rss_mb()

    def log_since(self, position: int = 0) -> tuple[list[str], int]:
        """Return the lines logged after `position`, and the position to go on from."""
        return self._log.since(position) if self._log else ([], 0)

    def _running(self) -> WatchedProcess:
        if self._process is None:
            raise NotRunning(f"{self.settings.name} does not run: start it first")
        return self._process

    def _spawn(self, binary: Path) -> None:
        settings = self.settings
        self._log = LogFile()
        self._resources.callback(self._log.close)
        folder = _new_folder(self._proxy.name)
        self._resources.callback(shutil.rmtree, folder, ignore_errors=True)
        stats_server = StatsServer({"/stats": self.stats, "/health": lambda: documented_health(settings)})
        self._resources.callback(stats_server.close)
        place = Place(folder, stats_server.address)
        for name, text in self._proxy.render(settings, self._profile, place).items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
        listen(settings.name, settings.host, settings.port).close()
        self._counter = self._proxy.counter(settings, place, self.send_signal)
        command = self._proxy.command(binary, self._profile)
        own = {"HOME": str(folder), "TMPDIR": str(folder), **self._proxy.environ(folder, self._profile)}
        environ = {**os.environ, **own}
        self._process = WatchedProcess(settings.name, command, folder, environ, self._log, own_folder=True)

    def _wait_until_ready(self, end: float) -> None:
        while not self._answers():
            if self._unwanted.is_set():
                raise StartFailed(f"{self.settings.name} was stopped before it answered")
            if not self.alive:
                raise StartFailed(f"{self._who()} ended instead of starting{self._last_words()}")
            if time.monotonic() > end:
                raise StartFailed(f"{self._who()} did not answer within {START_S:g} s{self._last_words()}")
            time.sleep(POLL_S)

    def _answers(self) -> bool:
        with closing(
            http.client.HTTPConnection(self.settings.host, self.settings.port, timeout=1)
        ) as connection:
            try:
                connection.request("GET", "/health")
                return bool(json.load(connection.getresponse()) == documented_health(self.settings))
            except (OSError, ValueError, http.client.HTTPException):
                return False

    def _who(self) -> str:
        return f"{self.settings.name} ({self._proxy.name})"

    def _last_words(self) -> str:
        lines, _ = self.log_since()
        return f": its log ends with {lines[-1]!r}" if lines else ", and its log is empty"


def _new_folder(name: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"lab-{name}-"))
    if len(str(folder)) > LONGEST_FOLDER:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix=f"lab-{name}-", dir="/tmp"))
    return folder
