"""Charts, tables and answers: what a notebook shows of a CSV, from its rows alone.

`lab.results.read` gives a CSV's rows as a DataFrame, one a trial, and a function named here makes one of
three things of them. A `Chart` is a figure with its caption and a text for those who do not see it, a
`Table` columns of text, an `Answer` sentences. All three show themselves in a notebook; none starts
anything or reads a file. Runs under faults, a comparison, a search and the results of policies have charts
too, made of those objects.

A chart of rows passes these files:

1. `series` sorts the rows: a panel for everything that varies, in each panel a series for each topology (or
   another factor), in each series a point for each cell, with the interval of its valid trials.
2. `findings` holds each documented claim against the rows and gives it a verdict; `caption` says it in
   sentences.
3. The chart's own file says what is drawn: `curves` (throughput, latency), `breakdown` (where the time
   went), `scalability` (knee and law), `percentiles`, `cores`; `dot_plot` draws things beside each other
   for `balancers`, `clients` and `protocols`.
4. `titles` says what was found, which stands above the picture; `tooltips` what a mark says under the
   pointer.
5. `marks` draws points, bands and limits, `axes` the panels and scales, and `style` gives everything its
   look. What `@styled` of `chart` wraps is drawn in the lab's style and leaves the user's settings of
   matplotlib alone.
6. A `Chart` shows itself in one bundle: HTML with the picture in it as `inline_svg` gives it, once for wide
   and once for narrow pages; PNG on white; text.

`answer` and `tables` take the first two steps and end in text. pandas and matplotlib are all that importing
this package costs: scipy, and what drives load, are imported by the functions that need them.
"""

from __future__ import annotations

from lab.charts.answer import Answer, answer, capacity_answer, outcome
from lab.charts.balancers import balancer_answer, balancer_table, balancers
from lab.charts.breakdown import where_the_time_went
from lab.charts.chart import Chart
from lab.charts.clients import client_answer, client_table, clients
from lab.charts.comparison import comparison
from lab.charts.cores import core_answer, cores
from lab.charts.curves import latency, throughput
from lab.charts.faults import fault_answer, fault_counts, fault_incidents, under_faults
from lab.charts.findings import Claim, Finding, findings_of
from lab.charts.instance_death import deaths
from lab.charts.percentiles import percentiles
from lab.charts.policies import policies, policy_answer, policy_table
from lab.charts.protocols import byte_table, coding_table, protocol_answer, protocols
from lab.charts.scalability import scalability, scalability_table
from lab.charts.tables import Table, cells, verdicts

__all__ = [
    "Answer",
    "Chart",
    "Claim",
    "Finding",
    "Table",
    "answer",
    "balancer_answer",
    "balancer_table",
    "balancers",
    "byte_table",
    "capacity_answer",
    "cells",
    "client_answer",
    "client_table",
    "clients",
    "coding_table",
    "comparison",
    "core_answer",
    "cores",
    "deaths",
    "fault_answer",
    "fault_counts",
    "fault_incidents",
    "findings_of",
    "latency",
    "outcome",
    "percentiles",
    "policies",
    "policy_answer",
    "policy_table",
    "protocol_answer",
    "protocols",
    "scalability",
    "scalability_table",
    "throughput",
    "under_faults",
    "verdicts",
    "where_the_time_went",
]
