"""Outgoing HTTP clients compared: what each does to throughput, latency and CPU."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from lab.charts.answer import Answer
from lab.charts.chart import Chart, styled
from lab.charts.dot_plot import (
    LATENCY,
    SERVERS_CPU,
    THROUGHPUT,
    figure_text,
    interval_of,
    line_chart,
    require_rows,
)
from lab.charts.findings import Claim, caption, findings_of
from lab.charts.tables import Table, figure_of
from lab.measure.statistics import Interval, ratio_interval
from lab.results.counted import believed, counted, trials_told
from services.names import ClientName

__all__ = ["client_answer", "client_table", "clients"]

_ORDER = (
    ClientName.HTTPX_PER_REQUEST,
    ClientName.HTTPX,
    ClientName.HTTPX_AIOHTTP,
    ClientName.AIOHTTP,
    ClientName.WIRE,
)
"""The costliest first."""


@styled
def clients(rows: pd.DataFrame) -> Chart:
    """Draw throughput, latency and CPU of each client, a mark for each topology, at one concurrency."""
    drawn = {client: _by_topology(own) for client, own in _by_client(rows).items()}
    figure = line_chart(drawn, (THROUGHPUT, LATENCY, SERVERS_CPU))
    sentences = [_sentence(rows, topology) for topology in _by_topology(rows)]
    return Chart(
        figure,
        sentences[0].replace("**", "").rstrip("."),
        "What each HTTP client makes of throughput, latency and CPU",
        "\n".join(f"- {each}" for each in sentences),
        " ".join(sentences),
    )


def client_table(rows: pd.DataFrame) -> Table:
    """List each client in each topology with its throughput, also as a multiple of the slowest client's."""
    header = (
        "client",
        "topology",
        "valid trials",
        "throughput (req/s)",
        "of the slowest client's",
        SERVERS_CPU.label,
    )
    return Table(
        header,
        tuple(
            (
                client,
                topology,
                believed(own),
                figure_of(interval_of(own, THROUGHPUT)),
                f"{figure_of(_over_slowest(rows, topology, own))} ×",
                figure_of(interval_of(own, SERVERS_CPU)),
            )
            for client, both in _by_client(rows).items()
            for topology, own in _by_topology(both).items()
        ),
    )


def client_answer(documented: pd.DataFrame, flat_out: pd.DataFrame) -> Answer:
    """Say whether the client alone accounts for the documented figures, and what other clients give.

    `documented` are rows at the documented concurrencies, `flat_out` rows at saturation. Neither has any
    work but the text's own.
    """
    said = []
    for client, own in _by_client(documented).items():
        found = [each for claim in (Claim.THROUGHPUT, Claim.LATENCY) for each in findings_of(own, claim)]
        said.append(f"**With `{client}`**, and no work but the text:\n\n{caption(found)}")
    said += [_sentence(flat_out, topology) for topology in _by_topology(flat_out)]
    said.append(_balancers_cost(flat_out))
    said.append(trials_told(pd.concat([documented, flat_out])))
    return Answer("\n\n".join(filter(None, said)))


def _by_client(rows: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    require_rows(rows, "client", "topology")
    there = set(rows["client"])
    return {str(name): rows[rows["client"] == name] for name in _ORDER if name in there}


def _by_topology(rows: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    return {str(name): rows[rows["topology"] == name] for name in sorted(rows["topology"].unique())[::-1]}


def _over_slowest(rows: pd.DataFrame, topology: str, own: pd.DataFrame) -> Interval:
    """Divide the throughput of these rows by the costliest client's in the same topology."""
    first = _by_topology(next(iter(_by_client(rows).values()), rows)).get(topology)
    below = [] if first is None else counted(first, "throughput_rps")
    return ratio_interval(counted(own, "throughput_rps"), below)


def _sentence(rows: pd.DataFrame, topology: str) -> str:
    """Say the throughput of the fastest client, and how many times the slowest client's that is."""
    own = {name: _by_topology(both).get(topology) for name, both in _by_client(rows).items()}
    rates = {n: interval_of(r, THROUGHPUT).estimate for n, r in own.items() if r is not None}
    known = {name: rate for name, rate in rates.items() if not math.isnan(rate)}
    silent = [name for name in rates if name not in known]
    left_out = f" Nothing that counts was measured of {', '.join(silent)}." if silent else ""
    if len(known) < 2:
        return f"{topology.capitalize()}: too few clients have a valid trial to be compared.{left_out}"
    slowest, fastest = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    times = figure_text(known[fastest] / known[slowest])
    return (
        f"{topology.capitalize()}: {slowest} {figure_text(known[slowest])} req/s, {fastest} "
        f"{figure_text(known[fastest])} req/s, **{times} times as much**.{left_out}"
    )


def _balancers_cost(rows: pd.DataFrame) -> str:
    """Say what parallel does in multiples of sequential, with the client whose hops cost least."""
    if not len(rows):
        return ""
    *_, (client, own) = _by_client(rows).items()
    after, before = (
        counted(_by_topology(own).get(t, own[:0]), "throughput_rps") for t in ("parallel", "sequential")
    )
    ratio = ratio_interval(after, before)
    if math.isnan(ratio.estimate):
        return ""
    return (
        f"With `{client}`, where hops cost least, the parallel topology does {figure_of(ratio)} times what "
        "the sequential one does: four balancers more a request, and no processor more."
    )
