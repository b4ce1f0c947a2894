"""What the generator records comes out again in the window it belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.arrivals import Constant
from lab.load.histogram import Histogram
from lab.load.outcomes import Outcome, code_of
from lab.load.recorder import PackedRows, Recorder
from lab.load.result import MeasurementWindow
from lab.load.timeline import Timeline

START, SLICE = 5_000, 1_000
ms = st.integers(0, 30_000)
rows = st.lists(st.tuples(ms, ms, ms, st.sampled_from([200, 200, 200, 503, -3])), min_size=1, max_size=200)


def _row(intended: int, wait: int, service: int, code: int) -> tuple[int, int, int, int]:
    sent = START + intended + wait
    return START + intended, sent, sent + service, code


def _recorded(samples: list[tuple[int, int, int, int]], flush_every: int = 1000) -> Recorder:
    recorder = Recorder(START, SLICE, 100)
    for number, sample in enumerate(samples):
        recorder.ended.append(sample)
        if number % flush_every == 0:
            recorder.flush()
    recorder.flush()
    return recorder


@given(rows, st.integers(1, 20), st.integers(0, 40), st.integers(0, 40))
def test_a_window_holds_exactly_the_requests_intended_in_it(rows, every: int, first: int, last: int) -> None:
    samples = [_row(*row) for row in rows]
    window = _recorded(samples, every).window(first, last)
    inside = [s for s in samples if first <= (s[0] - START) // SLICE < last]
    assert window.response_time == Histogram.of([s[2] - s[0] for s in inside if s[3] == 200])
    assert window.service_time == Histogram.of([s[2] - s[1] for s in inside if s[3] == 200])
    assert sum(window.outcomes.values()) == len(inside)
    assert window.outcomes.get("http_503", 0) == sum(s[3] == 503 for s in inside)


@given(rows, st.integers(1, 20))
def test_it_does_not_matter_when_the_recorder_flushes(rows, every: int) -> None:
    samples = [_row(*row) for row in rows]
    one, other = _recorded(samples, every), _recorded(samples)
    assert one.totals == other.totals
    assert one.window(0, 99) == other.window(0, 99)
    assert _trimmed(one.timeline) == _trimmed(other.timeline)


@given(rows, st.integers(1, 4))
def test_several_recorders_merge_to_the_single_one(rows, parts: int) -> None:
    samples = [_row(*row) for row in rows]
    recorders = [_recorded(samples[part::parts]) for part in range(parts)]
    whole = _recorded(samples)
    assert MeasurementWindow.merged(recorder.window(2, 20) for recorder in recorders) == whole.window(2, 20)
    merged = Timeline.merged(recorder.timeline for recorder in recorders)
    assert _trimmed(merged) == _trimmed(whole.timeline)


def _trimmed(timeline: Timeline) -> dict[str, list[int]]:
    """The columns without the empty slices at the end, of which growing leaves more or fewer."""
    columns = {name: values for name, values in timeline.to_json().items() if name != "slice_ns"}
    used = max(
        (position + 1 for values in columns.values() for position, value in enumerate(values) if value),
        default=0,
    )
    return {name: values[:used] for name, values in columns.items()}


@given(rows)
def test_a_window_and_a_timeline_survive_json(rows) -> None:
    recorder = _recorded([_row(*row) for row in rows])
    recorder.timings.append(b"a;dur=1.5")
    recorder.timed.append(START)
    window = recorder.window(0, 99)
    assert MeasurementWindow.from_json(window.to_json()) == window
    assert Timeline.from_json(recorder.timeline.to_json()) == recorder.timeline


def test_a_request_held_beyond_the_window_counts_where_it_was_intended() -> None:
    recorder = _recorded([(START + 500, START + 500, START + 50_500, 200)])
    assert recorder.window(0, 1).response_time.max_ns == 50_000
    assert len(recorder.window(1, 99).response_time) == 0
    assert recorder.timeline.succeeded.nonzero()[0].tolist() == [50]


def test_response_time_begins_at_the_intended_start_and_service_time_at_the_send() -> None:
    window = _recorded([(START, START + 300, START + 1000, 200)]).window(0, 1)
    assert (window.response_time.max_ns, window.service_time.max_ns) == (1000, 700)


def test_a_failure_is_in_no_histogram() -> None:
    refused = (START, 0, START + 10, code_of(Outcome.REFUSED))
    window = _recorded([refused, (START, START, START + 20, 503)]).window(0, 1)
    assert window.outcomes == {"refused": 1, "http_503": 1}
    assert len(window.response_time) == len(window.service_time) == 0


def test_dropped_requests_lags_and_stages_belong_to_their_windows() -> None:
    recorder = Recorder(START, SLICE, 10)
    recorder.dropped.extend([START, START + SLICE, START + SLICE + 1])
    recorder.lags.extend([(START, 7), (START + SLICE, 9)])
    recorder.timings.extend([b"a;dur=1, b;dur=3", b"a;dur=2", b"a;dur=4"])
    recorder.timed.extend([START, START + SLICE, START + SLICE])
    window = recorder.window(1, 2)
    assert window.dropped == 2
    assert len(recorder.dropped) == 3
    assert window.schedule_lag == Histogram.of([9])
    assert window.stages == {"a": (6.0, 2)}


def test_a_recorder_grows_when_a_run_takes_longer_than_expected() -> None:
    recorder = Recorder(START, SLICE, 2)
    recorder.ended.extend([_row(slice_ * SLICE, 0, 70, 200) for slice_ in (0, 5, 40)])
    assert recorder.window(0, 3).outcomes == {"http_200": 1}
    assert len(recorder.window(5, 41).response_time) == 2
    assert recorder.timeline.succeeded.nonzero()[0].tolist() == [0, 5, 40]


@given(rows)
def test_binning_in_the_run_gives_the_same_as_binning_after_it(rows) -> None:
    samples = [_row(*row) for row in rows]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lab.load.recorder._MOST_ROWS", 10)
        patched.setattr("lab.load.recorder._PIECE", 3)
        early = _recorded(samples, flush_every=2)
        early.lags.extend((row[0], row[1]) for row in samples)
        window = early.window(0, 99)
    late = _recorded(samples)
    late.lags.extend((row[0], row[1]) for row in samples)
    assert window == late.window(0, 99)


@given(st.lists(st.integers(1, 7), max_size=8), st.integers(0, 30))
def test_the_latest_rows_are_the_newest_and_no_more_than_asked_for(sizes: list[int], most: int) -> None:
    packed, number, every = PackedRows(), 0, []
    for size in sizes:
        rows = [(number + n, 0, 0, 0) for n in range(size)]
        every += [row[0] for row in rows]
        number += size
        packed.append(rows)
    assert packed.latest(most)[:, 0].tolist() == every[max(0, len(every) - most) :]


def test_successes_and_failures_are_counted_as_they_come() -> None:
    recorder = _recorded([_row(0, 0, 1, code) for code in (200, 304, 404, 503, -1)])
    assert (recorder.succeeded, recorder.failed) == (2, 3)


MS = 1_000_000
RATE, CAPACITY, CONNECTIONS, SECONDS = 200, 2500, 8, 30
STOPPED_AT, STOPPED_FOR = 10_000 * MS, 1_400 * MS


def _ends(starts_ns: int) -> int:
    """When the work of a request that is begun then is done."""
    end = starts_ns + 1000 * MS // CAPACITY
    return end + STOPPED_FOR if starts_ns <= STOPPED_AT < end else end


def _stalled() -> Recorder:
    """Each request is sent once a connection is free, and worked on once those before it are done."""
    recorder = Recorder(0, 100 * MS, 10 * SECONDS)
    ends = [0] * CONNECTIONS
    for intended in Constant(RATE).schedule(0, SECONDS).intended_ns.tolist():
        sent = max(intended, ends[-CONNECTIONS])
        ends.append(_ends(max(sent, ends[-1])))
        recorder.ended.append((intended, sent, ends[-1], 200))
    return recorder


def test_what_is_due_while_a_server_stands_still_waits_in_the_response_time_though_sent_late() -> None:
    window = _stalled().window(0, 10 * SECONDS)
    slowest_s = 0.01 * SECONDS  # that a hundredth of all requests was due in
    expected_ns = STOPPED_FOR - slowest_s * (1 - RATE / CAPACITY) * 1000 * MS
    assert len(window.response_time) == RATE * SECONDS
    assert window.response_time.percentile_ns(99) == pytest.approx(expected_ns, rel=0.05)
    assert window.service_time.percentile_ns(99) < 20 * MS
    assert window.service_time.max_ns >= STOPPED_FOR


def test_the_median_of_the_latest_successes_is_told_while_the_run_goes_on() -> None:
    recorder = Recorder(0, 10**8, 10)
    assert recorder.latest_p50_ms is None
    recorder.ended.extend((0, 1, 9_000_000, 200) for _ in range(100))
    recorder.flush()
    recorder.ended.extend((0, 1, 5_000_000, 200) for _ in range(300))
    recorder.ended.extend((0, 1, 1_000, code_of(Outcome.RESET)) for _ in range(50))
    recorder.flush()
    assert recorder.latest_p50_ms == 5.0
    assert recorder.latest_p99_ms == 5.0
