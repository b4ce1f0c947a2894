"""Who calls whom, as a directed graph: circles, and the order in which servers start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

__all__ = ["circle_of", "start_order"]


def circle_of(called: Mapping[str, Iterable[str]]) -> list[str] | None:
    """Return services of which each calls the next and the last the first; None where there is no circle."""
    try:
        TopologicalSorter(called).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1][:0:-1]  # each the caller of the one before
        first = min(circle, key=list(called).index)
        return circle[circle.index(first) :] + circle[: circle.index(first)]
    return None


def start_order(called: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the services in the order of their start: those of one list start together, callees first."""
    sorter = TopologicalSorter(called)
    sorter.prepare()
    place = {name: at for at, name in enumerate(called)}
    order = []
    while sorter.is_active():
        ready = sorter.get_ready()
        order.append(sorted(ready, key=place.__getitem__))
        sorter.done(*ready)
    return order
