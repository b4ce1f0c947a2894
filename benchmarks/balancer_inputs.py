"""Write down what each balancer does with each kind of input: `python -m benchmarks.balancer_inputs`.

Each balancer stands before one instance, which reads strictly and answers as the path asks. A client sends
the bytes of a kind on a connection of its own, and what comes back within half a second is a cell.
"""

from __future__ import annotations

import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from importlib.metadata import version
from pathlib import Path

from benchmarks.backends import free_ports
from benchmarks.balancers import builtin, external
from benchmarks.input_kinds import ANSWERS, REQUESTS, Kind
from benchmarks.strict_instance import StrictInstance
from lab.names import BalancerName
from lab.placement.proxies import PROXIES
from services.balancer.settings import Address, BalancerSettings

__all__ = ["main"]

FILE = Path(__file__).parent.parent / "docs" / "balancers.md"
BALANCERS = (BalancerName.BUILTIN, *PROXIES)
QUIET_S = 0.5
"""How long nothing may come until an answer counts as all there is."""
RECOVERS_S = 10.0
PLAIN = b"GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]+)")

HEADING = """\
# What balancers do with each kind of input

Written by `nox -s inputs`, which runs each balancer before one instance, sends it the bytes of each kind,
and notes what the client gets: do not edit. The external balancers are configured as the lab configures
them, to do what its own does as far as they can, in the versions of their wheels: {versions}.

A cell is the statuses that the client got, in order. *closed* means that the balancer closed the
connection, without an answer where there is no status; *silence* that nothing came within half a second, and
the connection stayed open. `→ n` is how many requests the instance read, where that is not one for each
status below 400: where a request is refused and `→ 1` stands beside it, the instance has acted on it all the
same. What else the instance saw is in brackets.
"""


def main() -> int:
    """Measure all cells, and write the document."""
    with StrictInstance(ANSWERS) as instance:
        columns = {name: _column(name, instance) for name in BALANCERS}
    FILE.write_text(_document(columns), encoding="utf-8")
    print(f"wrote {FILE.name}: {sum(len(cells) for cells in columns.values())} cells")
    return 0


def _column(name: BalancerName, instance: StrictInstance) -> dict[str, str]:
    """Return the cell of each kind, by its name, for one balancer."""
    address = Address("service1a", "127.0.0.1", instance.port)
    settings = BalancerSettings(
        "service1", free_ports(1)[0], (address,), check_interval_s=0.0, timeout_s=3.0, backoff_s=1.0
    )
    with ExitStack() as stack:
        stack.enter_context(builtin(settings) if name is BalancerName.BUILTIN else external(name, settings))
        cells = {}
        for kind in (*REQUESTS, *ANSWERS):
            _wait_until_well(settings.port)
            instance.seen.clear()
            instance.malformed = 0
            cells[kind.name] = _cell(kind, *_send(settings.port, kind.request), instance)
        print(f"{name}: {len(cells)} kinds", flush=True)
        return cells


def _wait_until_well(port: int) -> None:
    """Wait until a plain request is answered: an answer before it may have had the instance ejected.

    Each request waits long enough for a balancer that tries again after a second, so that none comes late.
    """
    until = time.monotonic() + RECOVERS_S
    while time.monotonic() < until:
        with suppress(OSError):
            if b" 200 " in _send(port, PLAIN, RECOVERS_S)[0][:20]:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the balancer on port {port} does not recover from the last input")


def _send(port: int, data: bytes, quiet_s: float = QUIET_S) -> tuple[bytes, bool]:
    """Return what comes back until nothing does for `quiet_s`, and whether the connection was closed then."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=quiet_s) as sock:
        try:
            sock.sendall(data)
            while piece := sock.recv(65536):
                received += piece
        except TimeoutError:
            return received, False
        except ConnectionError:
            pass
    return received, True


def _cell(kind: Kind, received: bytes, closed: bool, instance: StrictInstance) -> str:
    seen = list(instance.seen)
    statuses = [status.decode() for status in _STATUS.findall(received)]
    final = [status for status in statuses if not status.startswith("1") or status == "101"]
    cell = " ".join(statuses) or ("closed" if closed else "silence")
    if final and closed and final[-1] == "200":
        cell += " closed"
    if len(seen) != sum(status < "400" for status in final):
        cell += f" → {len(seen)}"
    shown = [kind.shows(b"".join(seen), received)] if kind.shows else []
    if instance.malformed:
        shown.append("the instance cannot read what comes")
    remark = ", ".join(filter(None, shown))
    return f"{cell} ({remark})" if remark else cell


def _document(columns: Mapping[BalancerName, Mapping[str, str]]) -> str:
    versions = ", ".join(
        f"{PROXIES[name].program.distribution} {version(PROXIES[name].program.distribution)}"
        for name in PROXIES
    )
    parts = [HEADING.format(versions=versions)]
    for title, kinds in (("Requests", REQUESTS), ("Answers of an instance", ANSWERS)):
        parts += [f"## {title}\n", "\n".join(_table(kinds, columns)), ""]
    return "\n".join(parts).rstrip() + "\n"


def _table(kinds: tuple[Kind, ...], columns: Mapping[BalancerName, Mapping[str, str]]) -> Iterator[str]:
    names = ["ours" if name is BalancerName.BUILTIN else str(name) for name in columns]
    yield "| " + " | ".join(["", *names]) + " |"
    yield "| " + " | ".join(["---"] * (1 + len(names))) + " |"
    for kind in kinds:
        yield "| " + " | ".join([kind.name, *(cells[kind.name] for cells in columns.values())]) + " |"


if __name__ == "__main__":
    sys.exit(main())
