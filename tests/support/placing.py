"""Topologies to place on ports that are claimed, and the plainest of clients for them."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

import lab
from lab.errors import ProgramMissing
from lab.placement.ports import reserved_offset
from lab.placement.proxies import PROXIES
from lab.placement.proxies.proxy import find
from lab.topology import Instance, Service, Topology

EXAMPLE = json.dumps({"text": "The cat, the CAT", "request_id": "r1"}).encode()
JSON = {"Content-Type": "application/json"}
WAIT_S = 30.0
"""How long anything may take on a machine that others use."""


@contextmanager
def claimed(topology: Topology) -> Iterator[Topology]:
    """Move a topology to ports that no other test is given during the block."""
    with reserved_offset(topology) as offset:
        yield topology.shifted(offset)


def pairs(mean_ms: float = 1, slots: int = 8) -> Topology:
    """Return two instances of each documented service, behind balancers."""
    return Topology.parallel(2).with_work(lab.Work(mean_ms=mean_ms, slots=slots))


def of_apps(**apps: str) -> Topology:
    """Return a topology of one service `name` for each `name="function of tests/support/apps.py"`."""
    return Topology(
        "small",
        tuple(
            Service(name, f"/{name}", (Instance(name, 8051 + place),), app=f"tests.support.apps:{app}")
            for place, (name, app) in enumerate(apps.items())
        ),
    )


def get(url: str) -> str:
    """Return the body of what a URL answers, over a connection of its own."""
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=WAIT_S)
    try:
        connection.request("GET", f"/{path}")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def post(url: str, body: bytes = EXAMPLE) -> int:
    """Return the status of what a URL answers to a POST, over a connection of its own."""
    address, _, path = url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(address, timeout=WAIT_S)
    try:
        connection.request("POST", f"/{path}", body, JSON)
        return connection.getresponse().status
    finally:
        connection.close()


def connects(port: int) -> bool:
    """Return whether a server listens on a port of the loopback."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it closes this very moment
        return False
    return True


def attempts(running: lab.Running, service: str) -> dict[str, int]:
    """Return what the balancer of a service counted, by the instance's name."""
    stats = running.stats()[f"{service}-loadbalancer"]["stats"]
    return {label.partition(":")[0]: count["requests"] for label, count in stats.items()}


def descendants() -> set[int]:
    """Return the pids of all processes below this one."""
    return {child.pid for child in psutil.Process().children(recursive=True)}


def require(balancer: lab.BalancerName) -> None:
    """Skip the test where the program of an external load balancer is not installed."""
    if balancer is not lab.BalancerName.BUILTIN:
        try:
            find(PROXIES[balancer].program)
        except ProgramMissing as missing:
            pytest.skip(str(missing))
