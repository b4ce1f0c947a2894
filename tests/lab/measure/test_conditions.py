from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lab.errors import BadParameter
from lab.measure.conditions import Condition
from lab.measure.measurement import Measurement
from tests.support.measurements import make_measurement


@pytest.fixture
def measurement() -> Measurement:
    row = make_measurement(throughput_rps=100.0)
    times = {"response_time_p99_ms": 150.0, "response_time_p99_9_ms": None, "response_time_max_ms": 2500.0}
    return replace(row, outcome=replace(row.outcome, requests=98, failed=3, dropped=2, **times))


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("p99=200ms", True),
        ("p99=100ms", False),
        ("p99=0.2s", True),
        ("p99<=150", True),
        ("p99<150ms", False),
        ("p99 > 149000 us", True),
        ("max<=2.5s", True),
        ("mean<1s", True),
        ("errors=0", False),
        ("errors<=5", True),
        ("errors=5%", True),
        ("errors=4.9%", False),
        ("throughput=100", True),
        ("throughput>100", False),
        ("throughput<=99.9", False),
        ("p99.9=1s", None),
        ("p99<=0.01min", True),
        ("P99 <= .2S", True),
        ("p99<=2e2ms", True),
        ("errors <= 5 %", True),
    ],
)
def test_a_condition_means_what_it_says(measurement: Measurement, text: str, holds: bool | None) -> None:
    assert Condition.parse(text).holds(measurement) is holds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p99",
        "p99=",
        "=200ms",
        "p98=200ms",
        "p99=fast",
        "p99=200%",
        "errors=3ms",
        "throughput=5s",
        "p99==1",
        "p99=>200ms",
        "p99!=200ms",
        "p99>100ms>200ms",
        "p99<nan",
        "p99<inf",
        "p99<-1ms",
        "p99<1e300ms",
        "p99<200mins",
        "errors<=200%",
        "errors<=1e300",
        "throughput>=5/s",
        "latency<200ms",
    ],
)
def test_what_is_no_condition_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadParameter, match="p99=200ms"):
        Condition.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [("p99=0.2s", "p99 <= 200 ms"), ("errors=1%", "errors <= 1 %"), ("throughput=9", "throughput >= 9")],
)
def test_it_is_said_in_one_way(text: str, said: str) -> None:
    assert str(Condition.parse(text)) == said
    assert Condition.parse(said) == Condition.parse(text)


@pytest.mark.parametrize(("text", "fewest"), [("p99=1s", 662), ("p99.9=1s", 6636), ("errors=0", 1)])
def test_it_knows_how_many_answers_it_takes_to_tell(text: str, fewest: int) -> None:
    assert Condition.parse(text).fewest_answers == fewest


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("errors=0", "write errors>0"),
        ("errors=1%", "write errors>1%"),
        ("p99=200ms", "write p99>200ms"),
        ("p99 = 0.2 s", "write p99>0.2 s"),
        ("p99==200ms", "write p99>200ms"),
        ("throughput=100", "write throughput<100"),
    ],
)
def test_a_failure_has_no_equals_which_would_fail_good_runs(text: str, remedy: str) -> None:
    with pytest.raises(BadParameter) as refused:
        Condition.parse_failure(text)
    assert str(refused.value).endswith(remedy)


@pytest.mark.parametrize("text", ["p99>200ms", "p99>=200ms", "errors>0", "errors>1%", "throughput<100"])
def test_a_failure_with_any_other_sign_means_what_it_says(text: str) -> None:
    assert Condition.parse_failure(text) == Condition.parse(text)


@pytest.mark.parametrize("text", ["", "p99", "p99=>1", "p99>fast", "p98>200ms"])
def test_what_is_no_failure_is_refused_with_an_example_of_one(text: str) -> None:
    with pytest.raises(BadParameter, match="p99>200ms, errors>0, errors>1% or throughput<100"):
        Condition.parse_failure(text)


@pytest.mark.parametrize("read", [Condition.parse, Condition.parse_failure])
@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("errors>=0", "always"),
        ("p99>=0ms", "always"),
        ("errors<=100%", "always"),
        ("errors<0", "never"),
        ("errors>100%", "never"),
        ("throughput<0", "never"),
        ("mean<0s", "never"),
    ],
)
def test_what_holds_always_or_never_tells_nothing_and_is_refused(
    read: Callable[[str], Condition], text: str, how: str
) -> None:
    with pytest.raises(BadParameter, match=f"it {how} holds"):
        read(text)
