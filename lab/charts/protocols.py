"""HTTP and gRPC compared: throughput, latency, CPU, bytes on the wire, and the cost of coding."""

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
    Quantity,
    interval_of,
    line_chart,
    require_rows,
    values_of,
)
from lab.charts.tables import Table, figure_of
from lab.measure.statistics import Interval, ratio_interval
from lab.results.counted import trials_told
from lab.rounding import number
from services.names import ProtocolName

__all__ = ["byte_table", "coding_table", "protocol_answer", "protocols"]


@styled
def protocols(rows: pd.DataFrame) -> Chart:
    """Draw throughput, latency and CPU of each protocol, over HTTP of each client, by length of text."""
    drawn = {stack: _by_length(own) for stack, own in _by_stack(rows).items()}
    figure = line_chart(drawn, (THROUGHPUT, LATENCY, SERVERS_CPU))
    sentences = [_sentence(rows, length) for length in _by_length(rows)]
    sentences.append(trials_told(rows))
    return Chart(
        figure,
        _short(rows),
        f"Throughput, latency and CPU of each protocol and client: {_topologies(rows)}",
        "\n".join(f"- {each}" for each in sentences),
        " ".join(sentences),
    )


def byte_table(measured: pd.DataFrame) -> Table:
    """List the bytes a request between client and entry, from `lab.protocol_costs.wire_bytes`."""
    header = ("protocol", "text (bytes)", "sent (bytes)", "received (bytes)", "beside the text, both ways")
    return Table(
        header,
        tuple(
            (
                str(row["protocol"]),
                f"{row['payload_bytes']:,}",
                f"{row['sent_bytes']:,.0f}",
                f"{row['received_bytes']:,.0f}",
                f"{row['sent_bytes'] + row['received_bytes'] - row['payload_bytes']:,.0f}",
            )
            for _, row in measured.iterrows()
        ),
    )


def coding_table(measured: pd.DataFrame) -> Table:
    """List what a message costs to code and decode, from `lab.protocol_costs.coding_costs`."""
    header = ("form", "text (bytes)", "message (bytes)", "coding (µs)", "decoding (µs)")
    return Table(
        header,
        tuple(
            (
                _FORMS[ProtocolName(row["protocol"])],
                f"{row['payload_bytes']:,}",
                f"{row['message_bytes']:,}",
                f"{row['coding_us']:.1f}",
                f"{row['decoding_us']:.1f}",
            )
            for _, row in measured.iterrows()
        ),
    )


def protocol_answer(sequential: pd.DataFrame, stacks: pd.DataFrame, coding: pd.DataFrame) -> Answer:
    """Say what the protocol changes by itself, and what it changes together with its balancer.

    `sequential` are rows without balancers, `stacks` rows of each protocol behind the balancer that speaks
    it, `coding` what `lab.protocol_costs.coding_costs` gives.
    """
    said = [f"**Without balancers** ({_topologies(sequential)}):"] if len(sequential) else []
    said += [_sentence(sequential, length) for length in _by_length(sequential)]
    said += [_coding_sentence(coding)]
    if len(stacks):
        said += [
            f"**Whole stacks** ({_topologies(stacks)}), each protocol behind the balancer that speaks it:"
        ]
    said += [_sentence(stacks, length) for length in _by_length(stacks)]
    said += [trials_told(pd.concat([sequential, stacks]))]
    return Answer("\n\n".join(filter(None, said)))


_FORMS = {ProtocolName.HTTP: "JSON", ProtocolName.GRPC: "protobuf"}


def _by_stack(rows: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    """Group rows by protocol and client, gRPC last."""
    require_rows(rows, "protocol", "client", "payload_bytes", "topology")
    spoken = rows["protocol"] + rows["client"].map(lambda name: f" by {name}", na_action="ignore").fillna("")
    names = sorted(spoken.unique(), key=lambda name: (name == ProtocolName.GRPC, name))
    return {str(name): rows[spoken == name] for name in names}


def _by_length(rows: pd.DataFrame) -> Mapping[str, pd.DataFrame]:
    lengths = sorted(rows["payload_bytes"].unique())
    return {f"texts of {length:,} bytes": rows[rows["payload_bytes"] == length] for length in lengths}


def _topologies(rows: pd.DataFrame) -> str:
    return ", ".join(sorted(rows["topology"].unique()))


def _sentence(rows: pd.DataFrame, length: str) -> str:
    """Say what gRPC does in multiples of each HTTP client, for texts of one length."""
    by_stack = _by_stack(_by_length(rows)[length])
    grpc = by_stack.get(ProtocolName.GRPC, rows[:0])
    compared = [
        f"{figure_of(_over(grpc, own, THROUGHPUT))} times the throughput of {name} for "
        f"{figure_of(_over(grpc, own, SERVERS_CPU))} times its CPU a request"
        for name, own in by_stack.items()
        if name != ProtocolName.GRPC and not math.isnan(_over(grpc, own, THROUGHPUT).estimate)
    ]
    silent = [name for name, own in by_stack.items() if not values_of(own, THROUGHPUT)]
    left_out = f" Nothing that counts was measured of {', '.join(silent)}." if silent else ""
    if not compared:
        return f"{length.capitalize()}: too few protocols have a valid trial to be compared.{left_out}"
    rate = figure_of(interval_of(grpc, THROUGHPUT))
    return f"{length.capitalize()}: gRPC lets {rate} req/s through, {', and '.join(compared)}.{left_out}"


def _short(rows: pd.DataFrame) -> str:
    """Say the least and the greatest ratio of gRPC's throughput to HTTP's, over all lengths and clients."""
    ratios = sorted(
        ratio
        for own in _by_length(rows).values()
        for name, stack in _by_stack(own).items()
        if name != ProtocolName.GRPC
        and not math.isnan(
            ratio := _over(own[own["protocol"] == ProtocolName.GRPC], stack, THROUGHPUT).estimate
        )
    )
    if not ratios:
        return "Too few protocols have a valid trial to be compared"
    least, most = number(ratios[0]), number(ratios[-1])
    said = least if least == most else f"{least} to {most}"
    return f"gRPC lets {said} times as much through as HTTP"


def _over(above: pd.DataFrame, below: pd.DataFrame, quantity: Quantity) -> Interval:
    return ratio_interval(values_of(above, quantity), values_of(below, quantity))


def _coding_sentence(coding: pd.DataFrame) -> str:
    """Say what JSON and protobuf cost for the shortest and the longest text."""
    if set(coding.get("protocol", ())) != set(_FORMS):
        return ""
    said = []
    for length in sorted({coding["payload_bytes"].min(), coding["payload_bytes"].max()}):
        rows = coding[coding["payload_bytes"] == length].set_index("protocol")
        cost = rows["coding_us"] + rows["decoding_us"]
        said.append(
            f"{cost[ProtocolName.HTTP]:.1f} µs in JSON and {cost[ProtocolName.GRPC]:.1f} µs in protobuf "
            f"for {length:,} bytes of text"
        )
    return f"To code and decode one message takes {', and '.join(said)}: once for each hop."
