"""Checks of a pipeline of one's own that is up: does it answer, and are the calls made that it declares."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import suppress

from lab.cli.acceptance import Check, attempts, unasked
from lab.pipeline import Pipeline
from lab.topology import Balancer, Instance, Topology
from services.addresses import is_loopback

__all__ = ["acceptance"]

TIMEOUT_S = 30.0
CONNECT_S = 1.0


def acceptance(pipeline: Pipeline, topology: Topology) -> Iterator[Check]:
    """Check that every instance answers, that the entry answers as expected, and that calls are counted.

    Calls can be seen where a balancer stands before the service that is called.
    """
    for service in topology.services:
        for instance in service.instances:
            found = f"nothing listens on {instance.address}"
            yield Check(f"{instance.name} answers", _host_of(instance) is not None, found)
    entry = topology.entry
    before = attempts(topology)
    status = _send(pipeline, topology)
    if not status:
        yield unasked(entry.name)
        return
    what = f"{pipeline.entry.method} {topology.entry_url} answers as expected"
    yield Check(what, pipeline.entry.expect.met_by(status), f"{status}")
    for name, count in attempts(topology).items():
        found = "no request came: is the address of this service written into the one that calls it?"
        yield Check(f"{name} sees requests", count > before[name], found)


def _host_of(server: Instance | Balancer) -> str | None:
    """Return the address at which something listens at the server's port: its own, or the other loopback's.

    A program may listen on `::1` alone. None where nothing listens.
    """
    for host in (server.host, "::1") if is_loopback(server.host) else (server.host,):
        with suppress(OSError):
            socket.create_connection((host, server.port), timeout=CONNECT_S).close()
            return host
    return None


def _send(pipeline: Pipeline, topology: Topology) -> int:
    """Send what the pipeline says to its entry. Return the status of the answer; 0 where there is none."""
    host = _host_of(topology.entry)
    if host is None:
        return 0
    connection = http.client.HTTPConnection(host, topology.entry.port, timeout=TIMEOUT_S)
    headers = dict(pipeline.entry.headers)
    body = pipeline.content()
    if body is not None and not isinstance(pipeline.entry.body, str | None):
        headers.setdefault("content-type", "application/json")
    try:
        connection.request(pipeline.entry.method, pipeline.entry.path, body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
