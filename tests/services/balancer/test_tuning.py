"""A tuning is a mapping of a balancer's settings that reads, prints and refuses as the balancer does."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.settings import VARIABLES, BalancerSettings
from services.balancer.tuning import Tuning
from services.environment import SettingsError

amounts = st.floats(0.001, 1e6) | st.integers(1, 10**6)
tunings = st.fixed_dictionaries(
    {},
    optional={
        "retry_ratio": amounts,
        "retry_per_s": amounts,
        "failures": st.integers(1, 99),
        "panic_threshold": st.floats(0, 1),
        "queue_timeout_s": amounts,
        "in_flight_limit": st.integers(0, 10**6),
        "retry_statuses": st.lists(st.integers(500, 599)),
        "idempotent": st.lists(st.sampled_from(["/process", "/report", "/a=b"])),
    },
)


@given(tunings)
def test_a_tuning_is_the_same_after_json_and_after_its_text(
    given_as: dict[str, Any],
) -> None:
    tuning = Tuning.read(given_as)
    assert Tuning.read(json.loads(json.dumps(dict(tuning)))) == tuning
    assert Tuning.read(str(tuning)) == tuning
    assert pickle.loads(pickle.dumps(tuning)) == tuning
    assert hash(Tuning.read(str(tuning))) == hash(tuning)


@given(tunings)
def test_a_tuning_gives_a_balancers_settings_what_was_asked(given_as: dict[str, Any]) -> None:
    settings = BalancerSettings("service1", 0, (), **Tuning.read(given_as).fields)
    for name, value in given_as.items():
        assert getattr(settings, name) == (frozenset(value) if isinstance(value, list) else value)


def test_the_text_names_settings_in_order_with_spaces_between() -> None:
    tuning = Tuning.read({"retry_statuses": [503, 502], "failures": 3.0, "retry_ratio": 0})
    assert str(tuning) == "failures=3 retry_ratio=0 retry_statuses=502,503"
    assert dict(tuning) == {"failures": 3, "retry_ratio": 0, "retry_statuses": (502, 503)}


@pytest.mark.parametrize("nothing", [None, {}, "", "  "])
def test_nothing_is_no_tuning(nothing: object) -> None:
    assert not Tuning.read(nothing)
    assert str(Tuning.read(nothing)) == ""


def test_a_list_may_be_empty() -> None:
    for given_as in ({"idempotent": [], "retry_statuses": []}, "idempotent=none retry_statuses=none"):
        assert Tuning.read(given_as).fields == {"idempotent": frozenset(), "retry_statuses": frozenset()}


@pytest.mark.parametrize(
    ("given_as", "said"),
    [
        ({"retry_ratoi": 0}, "tuning has retry_ratoi, and no such setting exists: did you mean retry_ratio"),
        ({"colour": 1}, "no such setting exists: there are "),
        ({"retry_ratio": -1}, "tuning retry_ratio is -1.0: give 0 or more"),
        ({"retry_ratio": float("nan")}, "tuning retry_ratio is nan: give 0 or more"),
        ({"retry_ratio": float("inf")}, "tuning retry_ratio is inf: give 0 or more"),
        ({"retry_ratio": 10**400}, "tuning retry_ratio is inf"),
        ({"retry_ratio": True}, "tuning retry_ratio cannot be 'True': give a number"),
        ({"retry_ratio": "much"}, "tuning retry_ratio cannot be 'much': give a number"),
        ({"retry_ratio": None}, "tuning retry_ratio cannot be None: give a number, a flag or a list"),
        ({"failures": 2.5}, "tuning failures cannot be '2.5': give a whole number"),
        ({"failures": 0}, "tuning failures is 0: give more than 0"),
        ({"panic_threshold": 2}, "tuning panic_threshold is 2.0: give a part"),
        ({"backoff_s": 40}, "tuning backoff_cap_s is 30.0: give at least backoff_s, 40.0"),
        ({"retry_statuses": [404]}, "give statuses from 500 to 599"),
        ({"retry_statuses": [{}]}, "give a number, a flag or a list"),
        ({"idempotent": ["/a b"]}, "without spaces"),
        ({"port": 1}, "tuning cannot set port: a topology has its ports"),
        ({"instances": []}, "tuning cannot set instances"),
        ({"seed": 1}, r"tuning cannot set seed: .*set seed"),
        ({"policy": "random"}, r"tuning cannot set policy: .*set policy"),
        ({"name": "a"}, "tuning cannot set name"),
        ("retry_ratio", "write name=value, as retry_ratio=0"),
        ("retry_ratio=", "write name=value"),
        ("retry_ratio=1 retry_ratio=2", "tuning has retry_ratio twice"),
        (3, "give a mapping"),
        ([{"retry_ratio": 0}], "give a mapping"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(given_as: object, said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        Tuning.read(given_as)
    assert "BALANCER_" not in str(refused.value)


def test_every_setting_is_either_the_topologys_or_can_be_tuned_to_its_default() -> None:
    usual = BalancerSettings("service1", 0, ())
    owned = {"name", "host", "port", "policy", "seed", "grace_s", "hops_left", "timeout_s"}
    for variable in VARIABLES:
        given_as = f"{variable.field}={usual.to_environ().get(variable.name) or 'none'}"
        if variable.field in owned or variable.read is str:
            with pytest.raises(SettingsError, match=variable.field):
                Tuning.read(given_as)
        else:
            assert Tuning.read(given_as).fields == {variable.field: getattr(usual, variable.field)}
