"""A search for saturation as a person watches it, and the CSV that its probes are kept in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lab.arrivals import Load
from lab.cli.load_run import require_writable, show_progress
from lab.errors import BadParameter
from lab.load.result import Progress
from lab.load.spec import LoadSpec
from lab.measure.measurement import Measurement
from lab.progress import SecondsBar, seconds_bar
from lab.results.csv_file import Results, read_measurements
from lab.results.sidecar import Sidecar
from lab.saturation import Probe, Saturation, SearchSpec, probing
from lab.saturation import saturate as find

__all__ = ["probe_line", "search"]


def search(question: SearchSpec, base: LoadSpec, csv: Path | None, say: Callable[[str], None]) -> Saturation:
    """Probe until the limit is known, with a live line for each probe and `say` for what came of it.

    Every probe is on the disk before the next begins. Raises BadParameter if the CSV is there already and
    has rows: what an interrupted search left without any is made anew.
    """
    base.check()
    if csv is None:
        return find(question, _watched(base, "saturation", say, lambda _: None))
    require_writable(csv)
    if csv.exists():
        if read_measurements(csv):
            raise BadParameter(f"{csv} is there already, and a search starts anew: name another file")
        csv.unlink()
        Sidecar.path_for(csv).unlink(missing_ok=True)
    parameters = {"url": base.url, "slo": [str(condition) for condition in question.goal]}
    with Results(csv, parameters) as results:
        return find(question, _watched(base, csv.stem, say, results.append))


def probe_line(measured: Measurement) -> str:
    """One probe in a line: its level, what was answered, and its tail."""
    factors, outcome = measured.factors, measured.outcome
    level = (
        f"{factors.concurrency} in flight" if factors.concurrency else f"{factors.requested_rate:.4g} req/s"
    )
    errors = outcome.failed + outcome.dropped
    p99 = f"{outcome.response_time_p99_ms:.4g} ms" if outcome.response_time_p99_ms else "–"
    state = "" if measured.health.valid else f", invalid: {measured.health.invalid_reason}"
    return f"{level}: {outcome.throughput_rps or 0:.4g} req/s answered, p99 {p99}, {errors:,} errors{state}"


def _watched(
    base: LoadSpec, name: str, say: Callable[[str], None], keep: Callable[[Measurement], None]
) -> Probe:
    """Probes by real load, each with a bar of its own."""
    bar: SecondsBar
    planned_s = 0.0

    def progress(so_far: Progress) -> None:
        show_progress(bar, so_far, planned_s)

    probe = probing(base, sweep_id=name, on_progress=progress)

    def watched(load: Load, duration_s: float) -> Measurement:
        nonlocal bar, planned_s
        planned_s = base.warmup_s + duration_s
        with seconds_bar(planned_s) as bar:
            measured = probe(load, duration_s)
            bar.finish(planned_s)
        keep(measured)
        say(probe_line(measured))
        return measured

    return watched
