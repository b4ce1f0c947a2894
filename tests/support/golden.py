"""The configurations that are kept as files. As a script it writes them anew: then read what git says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lab.placement.proxies import GRPC_PROXIES, PROXIES, Place, Profile, Proxy
from services.balancer.settings import Address, BalancerSettings, PolicyName
from services.names import ProtocolName

FOLDER = Path(__file__).parent / "golden"
PLACE = Place(Path("/tmp/lab"), "127.0.0.1:9000")
WEIGHTS = (1, 2, 1, 1)
PORTS = (8051, 8055, 8057, 8059)


def settings(policy: PolicyName = PolicyName.ROUND_ROBIN) -> BalancerSettings:
    """What the first balancer of the parallel topology is told."""
    instances = tuple(
        Address(f"service1{letter}", "127.0.0.1", port, weight)
        for letter, port, weight in zip("abcd", PORTS, WEIGHTS, strict=True)
    )
    return BalancerSettings(service="service1", port=8061, instances=instances, policy=policy, hops_left=7)


def configurations() -> Iterator[tuple[Proxy, Profile, PolicyName]]:
    """As the built-in balancer does with every policy it has, and as its makers ship it."""
    for proxy in (*PROXIES.values(), *GRPC_PROXIES.values()):
        for policy in proxy.policies:
            yield proxy, Profile.MATCHED, policy
        yield proxy, Profile.VENDOR, PolicyName.ROUND_ROBIN


def path(proxy: Proxy, profile: Profile, policy: PolicyName) -> Path:
    spoken = "-grpc" if proxy.protocol is ProtocolName.GRPC else ""
    return FOLDER / f"{proxy.name}{spoken}-{profile}-{policy}.txt"


def rendered(proxy: Proxy, profile: Profile, policy: PolicyName) -> str:
    """All files of a configuration in one text."""
    files = proxy.render(settings(policy), profile, PLACE)
    return "\n".join(f"=== {name}\n{text}" for name, text in files.items()).replace("\r\n", "\n")


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    for configuration in configurations():
        path(*configuration).write_text(rendered(*configuration), encoding="utf-8")
