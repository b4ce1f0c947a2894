"""Run a search for saturation with live progress, and keep its probes in a CSV."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lab.arrivals import Load
from lab.cli.load_run import show_progress, written_to
from lab.cli.options import require_writable
from lab.errors import BadParameter, LabError
from lab.load.result import Progress
from lab.load.spec import LoadSpec
from lab.measure.measurement import Measurement
from lab.progress import SecondsBar, seconds_bar
from lab.results.csv_file import Results, read_measurements
from lab.results.sidecar import Sidecar
from lab.saturation import Probe, Saturation, SearchInterrupted, SearchSpec, probing, saturate
from lab.trials import say_who_computes

__all__ = ["probe_line", "search"]


def search(
    wanted: SearchSpec, base: LoadSpec, csv: Path | None, say: Callable[[str], None]
) -> tuple[Saturation, LabError | None]:
    """Probe until the limit is known, with a live line for each probe; call `say` with each result.

    Every probe is on the disk before the next begins. A disk that takes no more does not end the search: its
    error is returned beside the outcome. Ctrl-C does. Raises BadParameter if the CSV exists and has rows; a
    CSV that an interrupted search left without rows is made anew.
    """
    base.check()
    say_who_computes(f"up to {wanted.most_redone} probes are made up for", base.url)
    if csv is None:
        return _searched(wanted, _watched(base, "saturation", say, lambda _: None)), None
    require_writable(csv)
    if csv.exists():
        if read_measurements(csv):
            raise BadParameter(f"{csv} exists, and a search starts anew: name another file")
        csv.unlink()
        Sidecar.path_for(csv).unlink(missing_ok=True)
    parameters = {"url": base.url, "slo": [str(condition) for condition in wanted.goal]}
    unwritten: list[LabError] = []
    with written_to(csv):
        results = Results(csv, parameters)

    def keep(measured: Measurement) -> None:
        try:
            with written_to(csv):
                results.append(measured)
        except LabError as error:
            unwritten.append(error)

    with results:
        found = _searched(wanted, _watched(base, csv.stem, say, keep))
    return found, next(iter(unwritten), None)


def _searched(wanted: SearchSpec, probe: Probe) -> Saturation:
    try:
        return saturate(wanted, probe)
    except SearchInterrupted as interrupted:
        return interrupted.so_far


def probe_line(measured: Measurement) -> str:
    """Describe one probe in a line: its level, what was answered, and its 99th percentile."""
    factors, outcome = measured.factors, measured.outcome
    level = (
        f"{factors.concurrency} in flight" if factors.concurrency else f"{factors.requested_rate:.4g} req/s"
    )
    if outcome.nothing_succeeded:
        return f"{level}: {outcome.nothing_succeeded}, {outcome.dropped:,} dropped"
    p99 = f"{outcome.response_time_p99_ms:.4g} ms" if outcome.response_time_p99_ms else "–"
    state = "" if measured.health.valid else f", invalid: {measured.health.invalid_reason}"
    answered = f"{outcome.throughput_rps or 0:.4g} req/s answered"
    return f"{level}: {answered}, p99 {p99}, {outcome.failed:,} failed, {outcome.dropped:,} dropped{state}"


def _watched(
    base: LoadSpec, name: str, say: Callable[[str], None], keep: Callable[[Measurement], None]
) -> Probe:
    """Return a probe that loads the URL with a bar for each run, keeps the row and says its line."""
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
        say(probe_line(measured))
        keep(measured)
        return measured

    return watched
