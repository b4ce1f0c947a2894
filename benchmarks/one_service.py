"""The pipeline's last service alone: four instances, and requests that each have an id of their own."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from lab.placement.ports import free_offset
from lab.topology import Balancer, Instance, Service, Topology
from services.balancer.settings import Address
from services.documented import DOCUMENTED, balancer_name
from services.loops import run
from services.wire import WireClient, WireError
from services.work import Work

__all__ = ["BODY", "JSON", "Posted", "addresses_of", "one_service", "outcomes", "post_steadily"]

JSON = (("content-type", "application/json"),)
_SERVICE = DOCUMENTED[-1]


def _body(request_id: str) -> bytes:
    analysis = {"word_count": 4, "top_words": [["the", 2], ["cat", 2]], "unique_words": 2}
    return json.dumps({"analysis": analysis, "request_id": request_id}).encode()


BODY = _body("r1")


def one_service(work_ms: float, timeout_s: float = 30.0, ledger: str = "", slots: int = 1) -> Topology:
    """Return four instances of service4 behind its balancer, on free ports; constant work."""
    service = Service(
        _SERVICE.name,
        _SERVICE.path,
        tuple(Instance(name, port) for name, port in _SERVICE.instances),
        Balancer(balancer_name(_SERVICE.name), _SERVICE.balancer_port),
        Work(mean_ms=work_ms, slots=slots),
        timeout_s=timeout_s,
        faults=bool(ledger),
        ledger=ledger,
    )
    topology = Topology("one service", (service,))
    return topology.shifted(free_offset(topology))


def addresses_of(topology: Topology) -> tuple[Address, ...]:
    """Return the instances of the first service, for another balancer before them."""
    return tuple(Address(i.name, i.host, i.port) for i in topology.services[0].instances)


@dataclass(frozen=True, slots=True)
class Posted:
    """One request: when it was sent and ended, on the monotonic clock in seconds, and its status or error."""

    request_id: str
    sent_s: float
    ended_s: float
    outcome: str


def post_steadily(
    url: str, rate: float, duration_s: float, blow: Callable[[], None], after_s: float = 0.5
) -> list[Posted]:
    """Send requests at a steady rate, none waiting for another; run `blow` in a thread after `after_s`."""

    async def main() -> list[Posted]:
        async with WireClient(max_connections=512) as client:
            begun = time.monotonic()
            blowing = asyncio.create_task(_later(blow, after_s))
            sending = []
            for number in range(round(rate * duration_s)):
                await asyncio.sleep(begun + number / rate - time.monotonic())
                sending.append(asyncio.create_task(_post(client, url, f"r{number}")))
            await blowing
            return await asyncio.gather(*sending)

    return run(main())


async def _later(blow: Callable[[], None], after_s: float) -> None:
    await asyncio.sleep(after_s)
    await asyncio.to_thread(blow)


async def _post(client: WireClient, url: str, request_id: str) -> Posted:
    sent = time.monotonic()
    try:
        outcome = str((await client.post(url, _body(request_id), dict(JSON), timeout_s=30.0)).status)
    except WireError as error:
        outcome = str(error.kind)
    return Posted(request_id, sent, time.monotonic(), outcome)


def outcomes(posted: list[Posted]) -> Counter[str]:
    """Count the requests by outcome."""
    return Counter(each.outcome for each in posted)
