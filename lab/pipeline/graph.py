"""Who calls whom, as a directed graph: circles, and the order in which servers start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from networkx import DiGraph

__all__ = ["circle_of", "start_order"]


def circle_of(called: Mapping[str, Iterable[str]]) -> list[str] | None:
    """Return services of which each calls the next and the last the first; None where there is no circle."""
    import networkx  # only where a pipeline of one's own is read

    try:
        edges = networkx.find_cycle(_graph(called))
    except networkx.NetworkXNoCycle:
        return None
    return [caller for caller, _ in edges]


def start_order(called: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the services in the order of their start: those of one list start together, callees first."""
    import networkx

    order = networkx.topological_generations(_graph(called).reverse())
    place = {name: at for at, name in enumerate(called)}
    return [sorted(together, key=place.__getitem__) for together in order]


def _graph(called: Mapping[str, Iterable[str]]) -> DiGraph[str]:
    import networkx

    graph: DiGraph[str] = networkx.DiGraph()
    graph.add_nodes_from(called)
    graph.add_edges_from((caller, callee) for caller, callees in called.items() for callee in callees)
    return graph
