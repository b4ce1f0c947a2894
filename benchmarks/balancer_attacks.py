"""Have one client take more than its turn: how long its neighbours wait, beside nginx, HAProxy and Envoy."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from multiprocessing import get_context

import psutil

from benchmarks.backends import backends, free_ports
from benchmarks.balancers import RunningBalancer, builtin, external
from benchmarks.goals import GoalFigure, at_most, reference
from lab.errors import ProgramMissing
from lab.load.process_limits import read_threads
from lab.names import BalancerName
from services.balancer.settings import BalancerSettings

__all__ = ["balancer_attacks"]

PEERS = (BalancerName.NGINX, BalancerName.HAPROXY, BalancerName.ENVOY)
ROUNDS = 5
LEAST_MS = 20.0
"""A wait up to this long is nobody's trouble."""
LONGEST_S = 8.0
"""An attack that is not over by then goes on without being watched."""
_CHUNKED = b"POST /process HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
_GET = b"GET /process HTTP/1.1\r\nHost: x\r\n\r\n"
_END = b"0\r\n\r\n"
ATTACKS = {
    "1,000,000 chunks of one byte": _CHUNKED + b"1\r\nx\r\n" * 1_000_000 + _END,
    "80 MB of chunk extensions": _CHUNKED + (b"1;" + b"e" * 4000 + b"\r\nx\r\n") * 20_000 + _END,
    "2,000 GET /metrics in advance": b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 2_000,
    "2,000 GET /health in advance": b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 2_000,
    "5,000 requests in advance": b"GET /process HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000,
    "2,000,000 empty lines": b"\r\n" * 2_000_000 + _GET,
    "2,000 heads of 100 lines, each new": b"".join(
        b"GET /process HTTP/1.1\r\nHost: x\r\n%b\r\n"
        % b"".join(b"X-%d: %d\r\n" % (line, number * 100 + line) for line in range(100))
        for number in range(2_000)
    ),
}


def balancer_attacks() -> Iterator[GoalFigure]:
    """Attack each balancer with one connection while another asks: the neighbour's longest wait."""
    with ExitStack() as stack:
        settings = BalancerSettings("service1", free_ports(1)[0], stack.enter_context(backends()))
        running = {"builtin": stack.enter_context(builtin(settings))}
        for name in PEERS:
            apart = BalancerSettings("service1", free_ports(1)[0], settings.instances)
            try:
                running[name] = stack.enter_context(external(name, apart))
            except ProgramMissing as error:
                yield reference(f"{name} is not compared: {error}", float("nan"))
        for what, data in ATTACKS.items():
            yield from _compared(what, data, running)


def _compared(what: str, data: bytes, running: dict[str, RunningBalancer]) -> Iterator[GoalFigure]:
    waits: dict[str, list[float]] = {name: [] for name in running}
    names = list(running)
    for turn in range(ROUNDS):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            waits[name].append(_longest_wait_ms(running[name], data))
    found = {name: statistics.median(each) for name, each in waits.items()}
    for name in names[1:]:
        yield reference(f"{what}, {name}: longest wait, median of {ROUNDS}", found[name], "ms")
    best = min((found[name] for name in names[1:]), default=LEAST_MS)
    yield at_most(
        f"{what}, builtin: longest wait, median of {ROUNDS}", found["builtin"], max(LEAST_MS, best), "ms"
    )


def _longest_wait_ms(balancer: RunningBalancer, data: bytes) -> float:
    """Return how long a client on a connection of its own waited for an answer at most, while `data` came.

    Without what other programs kept the client, the balancer and what it asks waiting for a processor: the
    kernel tells (Linux).
    """
    pids = (balancer.pid, *(child.pid for child in psutil.Process().children() if child.name() == "nginx"))
    attacker = get_context("fork").Process(target=_attack, args=(balancer.port, data))
    longest = 0.0
    with socket.create_connection(("127.0.0.1", balancer.port), timeout=30) as neighbour:
        neighbour.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _ask(neighbour)
        attacker.start()
        while attacker.is_alive():
            delayed, begun = _run_delay_s(pids), time.perf_counter()
            _ask(neighbour)
            waited = time.perf_counter() - begun
            longest = max(longest, waited - (_run_delay_s(pids) - delayed))
            time.sleep(0.001)
    attacker.join()
    return longest * 1000


def _run_delay_s(pids: Iterable[int]) -> float:
    """Return how long this process and others were ready and not let run so far, in seconds."""
    threads = (times for pid in (*pids, "self") for times in read_threads(pid).values())
    return sum(times.run_delay_s for times in threads)


def _ask(sock: socket.socket) -> None:
    sock.sendall(_GET)
    got = b""
    while b"\r\n\r\n" not in got:
        got += _received(sock)
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += _received(sock)


def _received(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        raise RuntimeError("the balancer closed a neighbour's connection")
    return data


def _attack(port: int, data: bytes) -> None:
    """Send all of the data and read the answers, until the other side closes or nothing comes any more."""
    end = time.monotonic() + LONGEST_S
    with socket.create_connection(("127.0.0.1", port), timeout=LONGEST_S) as sock:
        reader = threading.Thread(target=_drain, args=(sock, end))
        reader.start()
        with suppress(OSError):
            sock.sendall(data)
        with suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        reader.join()


def _drain(sock: socket.socket, end: float) -> None:
    with suppress(OSError):
        while time.monotonic() < end and sock.recv(1 << 20):
            pass
