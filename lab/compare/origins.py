"""What differs in where two results come from, in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from lab.results.sidecar import Provenance, Sidecar

__all__ = ["conditions", "differences"]


def differences(a: Sidecar, b: Sidecar) -> list[str]:
    """Return sentences on what differs between two sidecars; none if nothing recorded does.

    A sweep of several sessions counts with all of them.
    """
    return [*_of_trees(a, b), *_of_machines(a, b), *_of_software(a, b), *_of_parameters(a, b)]


def conditions(a: Sidecar, b: Sidecar) -> str:
    """Return a sentence on what of machine and software differs, and what follows; empty if nothing does."""
    found = [what for what, of in _CONDITIONS.items() if any(of(a, b))]
    if not found:
        return ""
    return (
        f"A and B were measured with another {' and another '.join(found)}: "
        "a difference in the figures need not come from the code."
    )


def _of_trees(a: Sidecar, b: Sidecar) -> Iterator[str]:
    of_a, of_b = (_told(_commit(p) for p in sidecar.provenance) for sidecar in (a, b))
    if of_a != of_b:
        yield f"Commit: {of_a} in A, {of_b} in B."
    for name, sidecar in (("A", a), ("B", b)):
        if any(p.dirty for p in sidecar.provenance):
            yield f"{name} was made with changes that are in no commit: its commit does not tell what ran."


def _of_machines(a: Sidecar, b: Sidecar) -> Iterator[str]:
    yield from _of_one("Processor", lambda p: f"{p.cpu_model}, {p.cpu_count} usable", a, b)
    yield from _of_one("Memory", lambda p: f"{p.memory_mb / 1024:.0f} GB", a, b)
    yield from _of_one("System", lambda p: p.system, a, b)


def _of_software(a: Sidecar, b: Sidecar) -> Iterator[str]:
    yield from _of_python(a, b)
    yield from _of_loop(a, b)
    yield from _of_packages(a, b)


def _of_python(a: Sidecar, b: Sidecar) -> Iterator[str]:
    return _of_one("Python", lambda p: p.python, a, b)


def _of_loop(a: Sidecar, b: Sidecar) -> Iterator[str]:
    yield from _of_one("Event loop", lambda p: p.event_loop, a, b)
    yield from _of_one("Parser", lambda p: p.parser, a, b)


def _of_one(what: str, tell: Callable[[Provenance], str], a: Sidecar, b: Sidecar) -> Iterator[str]:
    of_a, of_b = _told(map(tell, a.provenance)), _told(map(tell, b.provenance))
    if of_a != of_b:
        yield f"{what}: {of_a} in A, {of_b} in B."


def _of_packages(a: Sidecar, b: Sidecar) -> Iterator[str]:
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
    """Return each fact once, in order."""
    return " and ".join(dict.fromkeys(facts))


_CONDITIONS: Mapping[str, Callable[[Sidecar, Sidecar], Iterator[str]]] = {
    "machine": _of_machines,
    "Python": _of_python,
    "event loop or parser": _of_loop,
    "set of packages": _of_packages,
}
"""What may move figures though the code is the same."""
