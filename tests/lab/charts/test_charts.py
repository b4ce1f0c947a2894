"""Charts are drawn from rows alone: complete, labelled with units, nothing over anything else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from lab import charts
from lab.charts.style import look, looks
from tests.support.chart_rows import made_up_rows

DRAW: list[Callable[[Any], charts.Chart]] = [
    charts.throughput,
    charts.latency,
    charts.where_the_time_went,
    charts.scalability,
]

LEVELS = (1, 2, 3, 4, 8, 16, 32)


def spoil(made: list[dict[str, Any]]) -> None:
    """Two trials that cannot be believed, one of them the only one of its cell."""
    made[0] |= {"valid": "false", "invalid_reason": "not_steady", "response_time_mean_ms": ""}
    for row in made[-3:]:
        row |= {"valid": "false", "invalid_reason": "generator_bound", "response_time_mean_ms": ""}


def both_distributions(made: list[dict[str, Any]]) -> None:
    made += [row | {"work_distribution": "exponential"} for row in made]


def text_only(made: list[dict[str, Any]]) -> None:
    for row in made:
        row |= {"work": "text", "work_ms": "", "work_distribution": ""}


def open_loop(made: list[dict[str, Any]]) -> None:
    for row in made:
        row |= {
            "load_model": "poisson",
            "requested_rate": row["concurrency"],
            "concurrency": "",
            "think_time_ms": "",
        }


def nothing_valid(made: list[dict[str, Any]]) -> None:
    for row in made:
        row |= {"valid": "false", "throughput_rps": 0, "response_time_mean_ms": ""}


def both_loops(made: list[dict[str, Any]]) -> None:
    opened = [dict(row) for row in made]
    open_loop(opened)
    made += opened


CHANGES = [None, both_loops, spoil, both_distributions, text_only, open_loop, nothing_valid]


def texts(figure: Figure) -> list[Text]:
    """Everything written in the figure that shows."""
    figure.draw_without_rendering()
    found = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return [text for text in found if text.get_visible() and text.get_text().strip()]


def bounds(ax: Axes) -> list[list[float]]:
    """The heights of the lines that are drawn densely and without marks."""
    lines = [line for line in ax.get_lines() if line.get_marker() == "None" and len(line.get_xdata()) > 100]
    return [[float(y) for y in line.get_ydata()] for line in lines]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: getattr(change, "__name__", "plain"))
@pytest.mark.parametrize("draw", DRAW, ids=lambda draw: draw.__name__)
def test_no_text_covers_another_or_leaves_the_figure(draw: Any, change: Any) -> None:
    figure = draw(made_up_rows(change, concurrencies=LEVELS)).figure
    figure.draw_without_rendering()
    whole = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure)]
    for name, box in boxes:
        assert box.x0 >= whole.x0 - 1, name
        assert box.x1 <= whole.x1 + 1, name
    for (one, a), (other, b) in combinations(boxes, 2):
        assert not a.padded(-1).overlaps(b.padded(-1)), f"{one!r} and {other!r} overlap"


@pytest.mark.parametrize("draw", DRAW, ids=lambda draw: draw.__name__)
def test_every_axis_has_a_unit(draw: Any) -> None:
    for change in (None, both_distributions, open_loop):
        figure = draw(made_up_rows(change)).figure
        labels = [label for ax in figure.axes for label in (ax.get_xlabel(), ax.get_ylabel()) if label]
        assert len(labels) >= 2
        assert all(label.endswith(")") for label in labels), labels


def test_an_invalid_trial_is_hollow() -> None:
    def hollow(figure: Figure) -> int:
        (ax,) = figure.axes
        return sum(line.get_markerfacecolor() == "white" for line in ax.get_lines())

    assert hollow(charts.throughput(made_up_rows()).figure) == 0
    assert hollow(charts.throughput(made_up_rows(spoil)).figure) == 4
    assert hollow(charts.latency(made_up_rows(spoil)).figure) == 4


def test_the_curves_pass_through_the_measured_points_and_below_their_bounds() -> None:
    frame = made_up_rows(spread=0)
    (ax,) = charts.throughput(frame).figure.axes
    marked = [line for line in ax.get_lines() if line.get_marker() in ("o", "s")]
    assert sorted(max(line.get_ydata()) for line in marked) == pytest.approx([24.75, 99.0])
    assert sorted(max(heights) for heights in bounds(ax)) == pytest.approx([25, 100])


def test_the_latency_bound_is_the_demand_and_then_n_times_the_bottleneck() -> None:
    (ax,) = charts.latency(made_up_rows()).figure.axes
    assert sorted(min(heights) for heights in bounds(ax)) == pytest.approx([160, 160])
    assert sorted(max(heights) for heights in bounds(ax)) == pytest.approx([320, 1280])


def test_cpu_work_in_one_process_is_bound_by_one_core() -> None:
    def burn(made: list[dict[str, Any]]) -> None:
        for row in made:
            row["work"] = "cpu"

    (ax,) = charts.throughput(made_up_rows(burn)).figure.axes
    assert [max(heights) for heights in bounds(ax)] == pytest.approx([6.25, 6.25])


def test_where_theory_knows_no_service_time_no_bound_is_drawn() -> None:
    (ax,) = charts.throughput(made_up_rows(text_only)).figure.axes
    assert not bounds(ax)


def test_what_else_varies_gets_a_panel_of_its_own() -> None:
    figure = charts.throughput(made_up_rows(both_distributions)).figure
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["constant work", "exponential work"]


def test_another_factor_can_tell_the_curves_apart() -> None:
    def clients(made: list[dict[str, Any]]) -> None:
        made += [row | {"client": "wire"} for row in made]

    figure = charts.throughput(made_up_rows(clients), series="client").figure
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["sequential", "parallel"]
    assert {"httpx", "wire"} <= {text.get_text() for text in figure.legends[0].get_texts()}


def test_the_parts_of_a_bar_are_everything_and_no_more() -> None:
    for ax in charts.where_the_time_went(made_up_rows()).figure.axes:
        bars: dict[float, float] = {}
        for patch in ax.patches:
            bars[round(patch.get_x(), 3)] = bars.get(round(patch.get_x(), 3), 0) + patch.get_height()
        assert list(bars.values()) == pytest.approx([100] * 4)


def test_the_caption_says_every_verdict_in_bold_and_the_ratio_with_its_interval() -> None:
    caption = charts.throughput(made_up_rows()).caption
    assert len(caption.splitlines()) == 3
    assert caption.count("**") == 6
    assert "× (95 % interval)" in caption
    assert charts.latency(made_up_rows()).caption.count("**within**") == 2


def test_the_caption_of_what_the_documents_do_not_speak_of_says_so() -> None:
    assert "what the documents speak of" in charts.throughput(made_up_rows(open_loop)).caption


def test_a_chart_tells_its_figures_in_words_too() -> None:
    assert "sequential: 6.008 at 1, 17.75 at 3, " in charts.throughput(made_up_rows()).alternative


def test_a_chart_is_saved_in_the_format_of_its_suffix(tmp_path: Path) -> None:
    chart = charts.throughput(made_up_rows())
    assert chart.save(tmp_path / "new" / "a.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in chart.save(tmp_path / "a.svg").read_bytes()
    assert chart.png().startswith(b"\x89PNG")


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    before = {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}
    charts.throughput(made_up_rows())
    assert {name: mpl.rcParams[name] for name in before} == before


def test_seven_series_differ_in_colour_and_in_what_shows_in_grey() -> None:
    seven = [look(position) for position in range(7)]
    assert len({each.colour for each in seven}) == len({each.marker for each in seven}) == 7
    assert len({each.hatch for each in seven}) == 7
    named = looks(["parallel", "other", "sequential"])
    assert named["sequential"] == look(0)
    assert named["parallel"] == look(1)
    assert named["other"] == look(2)
