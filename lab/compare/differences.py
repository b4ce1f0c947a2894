"""What differs in where two results come from, in plain words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lab.results.sidecar import Provenance, Sidecar

__all__ = ["differences"]


def differences(a: Sidecar, b: Sidecar) -> list[str]:
    """Sentences; none if nothing recorded differs. A sweep of several sessions counts with all of them."""
    return [*_of_trees(a, b), *_of_machines(a, b), *_of_software(a, b), *_of_parameters(a, b)]


def _of_trees(a: Sidecar, b: Sidecar) -> Iterator[str]:
    of_a, of_b = (_told(_commit(p) for p in sidecar.provenance) for sidecar in (a, b))
    if of_a != of_b:
        yield f"Commit: {of_a} in A, {of_b} in B."
    for name, sidecar in (("A", a), ("B", b)):
        if any(p.dirty for p in sidecar.provenance):
            yield f"{name} was made with changes that are in no commit: its commit does not tell what ran."


def _of_machines(a: Sidecar, b: Sidecar) -> Iterator[str]:
    same = True
    for what, tell in (
        ("Processor", lambda p: f"{p.cpu_model}, {p.cpu_count} usable"),
        ("Memory", lambda p: f"{p.memory_mb / 1024:.0f} GB"),
        ("System", lambda p: p.system),
    ):
        of_a, of_b = _told(map(tell, a.provenance)), _told(map(tell, b.provenance))
        if of_a != of_b:
            same = False
            yield f"{what}: {of_a} in A, {of_b} in B."
    if not same:
        yield "The machines differ, so a difference in the figures need not come from the code."


def _of_software(a: Sidecar, b: Sidecar) -> Iterator[str]:
    for what, tell in (
        ("Python", lambda p: p.python),
        ("Event loop", lambda p: p.event_loop),
        ("Parser", lambda p: p.parser),
    ):
        of_a, of_b = _told(map(tell, a.provenance)), _told(map(tell, b.provenance))
        if of_a != of_b:
            yield f"{what}: {of_a} in A, {of_b} in B."
    for package in sorted({n for s in (a, b) for p in s.provenance for n in p.packages}):
        of_a, of_b = (_told(p.packages.get(package, "not installed") for p in s.provenance) for s in (a, b))
        if of_a != of_b:
            yield f"{package}: {of_a} in A, {of_b} in B."


def _of_parameters(a: Sidecar, b: Sidecar) -> Iterator[str]:
    for name in sorted({*a.parameters, *b.parameters}):
        of_a, of_b = a.parameters.get(name), b.parameters.get(name)
        if of_a != of_b:
            yield f"Parameter {name}: {of_a} in A, {of_b} in B."


def _commit(provenance: Provenance) -> str:
    return (provenance.commit or "unknown")[:10]


def _told(facts: Iterable[str]) -> str:
    """Each fact once, in order."""
    return " and ".join(dict.fromkeys(facts))
