"""The specification of a run: what load to put on what, as data that passes to the generators' processes."""

from __future__ import annotations

import base64
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab.arrivals import (
    Closed,
    Load,
    Schedule,
    load_from_json,
    load_to_json,
    require_schedulable,
    require_time,
)
from lab.errors import BadParameter, RemoteRefused, advice
from lab.load.addresses import look_up
from lab.load.requests import head, socket_path, split_url
from lab.names import WarmupMode
from services.addresses import is_loopback

__all__ = ["MOST_IN_FLIGHT", "LoadSpec", "PipelineBody", "WarmupMode", "processes_for"]

MOST_IN_FLIGHT = 256
"""Connections of an open loop by default."""
LEAST_TIME_S = 0.001
"""The shortest window or time-out, in seconds: a window is cut into slices of whole nanoseconds."""
MOST_SLICES = 40_000
"""Slices of a warm-up: each takes half a megabyte of a generator's addresses, and a part of it in memory."""


@dataclass(frozen=True, slots=True)
class PipelineBody:
    """A body as the pipeline takes it: a text, and for every request its own request_id."""

    payload_bytes: int = 1024
    """The length of the text in UTF-8."""
    corpus: str | None = None
    """A file or a folder of .txt files; None is the prose that Python carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """Load on one URL. Times are in seconds. `check` tells whether the load can be run."""

    url: str
    load: Load
    duration_s: float = 10.0
    """Length of the measurement window."""
    warmup_s: float = 1.0
    """Length of the run before the window, which counts in no figure."""
    warmup_mode: WarmupMode = WarmupMode.FIXED
    seed: int = 0
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: PipelineBody | bytes | None = None
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    """From the send to the end of the answer. The drain is bounded by it as well."""
    max_connections: int = MOST_IN_FLIGHT
    """Connections of the open loop, over all processes. The closed loop has as many as users."""
    processes: int = 1
    """Generators that share the load."""
    cpus: tuple[int, ...] = ()
    """Cores that the generators are kept on, where the system can; any if empty."""
    stages: bool = True
    """Whether to read Server-Timing. Without, headers are not looked at, which is a little faster."""
    journal: bool = False
    """Whether to keep a log of every request beside the figures: for rates of hundreds a second."""
    ca_file: str | None = None
    """Certificates to trust, for https, instead of the system's."""
    cert_file: str | None = None
    """The client's certificate, for https, and what certifies it; PEM."""
    key_file: str | None = None
    """The key of that certificate, where it is in a file of its own; PEM."""
    remote: bool = False
    """Allow a host that is not loopback."""

    def check(self) -> tuple[str, ...]:
        """Check every field, and return the addresses that the URL's host stands for, or its unix socket.

        Those are the ones to connect to: the name, looked up again, may stand for others, unchecked ones.
        Raises BadParameter, also for a host without an address, and RemoteRefused for a host that is not
        loopback and not allowed.
        """
        for name in ("duration_s", "connect_timeout_s", "read_timeout_s"):
            require_time(name, getattr(self, name), least=LEAST_TIME_S)
        require_schedulable(self.load, self.warmup_s, self.duration_s)
        if self.warmup_slices > MOST_SLICES:
            longest_s = MOST_SLICES * self.slice_ns / 1e9
            raise BadParameter(
                f"warmup_s is {self.warmup_s:g}: for a window of {self.duration_s:g} s it must be at most "
                f"{longest_s:g}; ask for less, or for a longer window"
            )
        _require(self.seed >= 0, "seed", self, "0 or more")
        _require(self.processes >= 1, "processes", self, "at least 1")
        _require(self.max_connections >= 1, "max_connections", self, "at least 1")
        _require(self._most_in_flight >= self.processes, "processes", self, "no more than may be in flight")
        if isinstance(self.body, PipelineBody) and self.body.payload_bytes < 1:
            raise BadParameter(f"payload_bytes is {self.body.payload_bytes}: it must be at least 1")
        if isinstance(self.body, PipelineBody) and "content-length" in {n.lower() for n, _ in self.headers}:
            raise BadParameter("header Content-Length is given, and each body has its own: leave it out")
        parts = split_url(self.url)
        if parts.scheme != "grpc":
            length = len(self.body) if isinstance(self.body, bytes) else None
            head(self.method, self.url, self.headers, length)  # that it can be one
        self._check_certificate(parts.scheme)
        if parts.scheme == "unix":
            return (_socket(self.url),)
        host = parts.hostname or ""
        addresses = look_up(host)
        if not (self.remote or all(map(is_loopback, addresses))):
            allow = advice(command="--remote", notebook="remote = True")
            raise RemoteRefused(
                f"{host} is not loopback: say that you may load it ({allow}), or name a local host"
            )
        return addresses

    def _check_certificate(self, scheme: str) -> None:
        if self.key_file and not self.cert_file:
            raise BadParameter(f"key_file is {self.key_file}, and there is no cert_file: give both")
        if self.cert_file and scheme != "https":
            raise BadParameter(f"cert_file is {self.cert_file}, but {self.url} is no https:// URL")

    @property
    def slices(self) -> int:
        """Number of slices that the window is cut into: of about 0.1 s, but at least 10 and at most 250."""
        return min(250, max(10, round(self.duration_s / 0.1)))

    @property
    def slice_ns(self) -> int:
        """Length of a slice in ns."""
        return round(self.duration_s * 1e9 / self.slices)

    @property
    def warmup_slices(self) -> int:
        """Number of slices of that length that the warm-up takes, rounded up to whole ones."""
        return -(-round(self.warmup_s * 1e9) // self.slice_ns)

    def schedule(self) -> Schedule:
        """Return the load's schedule over warm-up and window as they are run: in whole slices."""
        warmup_s, window_s = (n * self.slice_ns / 1e9 for n in (self.warmup_slices, self.slices))
        return self.load.schedule(warmup_s, window_s, self.seed)

    @property
    def deadline_s(self) -> float:
        """Seconds that no run exceeds: warm-up, every first answer, window, drain, and some to spare."""
        request_s = self.connect_timeout_s + self.read_timeout_s
        if isinstance(self.load, Closed):
            request_s += self.load.think_time_s
        return self.warmup_s + self.duration_s + 2 * request_s + 15.0

    @property
    def _most_in_flight(self) -> int:
        return self.load.concurrency if isinstance(self.load, Closed) else self.max_connections

    # By hand, as all data that passes between the processes: importing pydantic would make the start of a
    # generator's process, which every run waits for, half as long again; and it has no arrays or histograms.
    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        body: Any = self.body
        if isinstance(self.body, bytes):
            body = {"base64": base64.b64encode(self.body).decode("ascii")}
        elif self.body is not None:
            body = asdict(self.body)
        return {**asdict(self), "load": load_to_json(self.load), "body": body}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LoadSpec:
        """Read what `to_json` gave."""
        body = data["body"]
        if body is not None:
            body = base64.b64decode(body["base64"]) if "base64" in body else PipelineBody(**body)
        return cls(
            **{
                **data,
                "load": load_from_json(data["load"]),
                "body": body,
                "warmup_mode": WarmupMode(data["warmup_mode"]),
                "headers": tuple((name, value) for name, value in data["headers"]),
                "cpus": tuple(data["cpus"]),
            }
        )


def processes_for(load: Load, most: int) -> int:
    """Return how many generators can share that load: at most `most`, and no more than users."""
    return min(most, load.concurrency) if isinstance(load, Closed) else most


def _require(good: bool, name: str, spec: LoadSpec, wanted: str) -> None:
    if not good:
        raise BadParameter(f"{name} is {getattr(spec, name)}: it must be {wanted}")


def _socket(url: str) -> str:
    """Return the path of a URL's unix socket. Raises BadParameter where there is none."""
    path = socket_path(url)
    try:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            raise BadParameter(f"{path} is no unix socket: name the one that the server listens on")
    except OSError as error:
        raise BadParameter(f"unix socket {path}: {error.strerror}; is the server up?") from None
    return path
