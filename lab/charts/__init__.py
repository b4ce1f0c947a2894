"""Rows to pictures and tables: from a CSV alone, whatever made it."""

from __future__ import annotations

from lab.charts.answer import Answer, answer, capacity_answer, outcome
from lab.charts.balancers import balancer_answer, balancer_table, balancers
from lab.charts.breakdown import where_the_time_went
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
from lab.charts.style import Chart
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
