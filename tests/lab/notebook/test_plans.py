"""Every notebook refuses what makes no sense before anything starts, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import LabError
from lab.notebook import parameters_of, read_notebook, read_parameters
from lab.notebook.parameters import CHECK

NOTEBOOKS = Path(__file__).parents[3] / "notebooks"


def refusal(stem: str, **typed: object) -> str:
    with pytest.raises(LabError) as refused:
        read_parameters(
            read_notebook(NOTEBOOKS / f"{stem}.ipynb"), [(n, str(value)) for n, value in typed.items()]
        )
    return str(refused.value).splitlines()[-1]


@pytest.mark.parametrize(
    ("stem", "typed", "said"),
    [
        ("01_quickstart", {"trials": 0}, "trials cannot be 0"),
        ("01_quickstart", {"work_ms": "-1"}, "work_ms cannot be '-1'"),
        ("02_sweep", {"duration_s": "1.0e-9"}, "duration_s cannot be 1e-09: it takes a number from 0.1"),
        ("02_sweep", {"work": "text", "duration_s": "1.0e-9"}, "duration_s cannot be 1e-09"),
        ("02_sweep", {"seed": 2**63}, "seed cannot be 9223372036854775808"),
        (
            "02_sweep",
            {"replicas": 100_000},
            "replicas cannot be 100000: it takes a whole number from 1 to 1000",
        ),
        ("02_sweep", {"concurrency": 10**7}, "concurrency cannot be 10000000"),
        ("02_sweep", {"payload_bytes": 2**31}, "payload_bytes cannot be"),
        ("02_sweep", {"duration_s": 10**6}, "at most a week"),
        ("02_sweep", {"load_model": "poisson", "requested_rate": 10**12}, "a schedule holds"),
        ("02_sweep", {"folder": "README.md"}, "folder cannot be README.md: README.md is a file"),
        ("02_sweep", {"folder": "README.md/a"}, "README.md is a file"),
        ("02_sweep", {"name": "schema"}, "schema.json is there and belongs to no sweep: choose another name"),
        ("02_sweep", {"name": "a" * 248}, "which has 248 letters"),
        ("02_sweep", {"name": "a b"}, "name cannot be 'a b'"),
        ("03_your_service", {"trials": 0}, "trials cannot be 0"),
        ("03_your_service", {"duration_s": "1.0e-9"}, "duration_s cannot be 1e-09"),
        ("03_your_service", {"duration_s": "-1.0"}, "duration_s cannot be -1.0"),
        ("03_your_service", {"slo": "fast"}, "fast"),
        ("03_your_service", {"arrivals": "ramp"}, "arrivals cannot be 'ramp'"),
        ("03_your_service", {"processes": 0}, "processes cannot be 0"),
        ("03_your_service", {"url": "127.0.0.1:80"}, "127.0.0.1:80"),
        ("03_your_service", {"folder": "README.md"}, "README.md is a file"),
        ("03_your_service", {"port_offset": 60_000}, "port_offset cannot be 60000"),
        ("04_policies", {"policies": "[round_robbin]"}, "policy cannot be 'round_robbin'"),
        ("04_policies", {"duration_s": "1.0e-9"}, "duration_s 1e-09 is too short"),
        ("04_policies", {"duration_s": "1.0e+9"}, "week"),
        ("04_policies", {"seed": 2**63}, "seed cannot be"),
        ("04_policies", {"seed": -1}, "seed cannot be -1"),
        ("04_policies", {"simulated_requests": 5}, "simulated_requests is 5"),
        ("04_policies", {"work_ms": ".inf"}, "work_ms is inf"),
        ("04_policies", {"tuning": "{seed: 1}"}, "tuning cannot set seed"),
        ("05_faults", {"faults": "at 3 kill nobody for 4"}, "nobody"),
        ("05_faults", {"faults": "kill"}, "'kill' is no fault"),
        ("05_faults", {"rate": ".nan"}, "rate is nan"),
        ("05_faults", {"rate": "1.0e+12"}, "a schedule holds"),
        ("05_faults", {"replicas": 100_000}, "replicas cannot be 100000"),
        ("05_faults", {"timeout_s": 0}, "timeout_s is 0"),
        ("05_faults", {"policy": "fair"}, "policy cannot be 'fair'"),
        ("05_faults", {"port_offset": -9}, "port_offset cannot be -9"),
        ("05_faults", {"balancers": "[]"}, "balancer is an empty list"),
        ("05_faults", {"tuning": "{retry_ratoi: 0}"}, "did you mean retry_ratio"),
        ("06_balancers", {"trials": 0}, "trials cannot be 0"),
        ("06_balancers", {"fault": "at 1 kill nobody for 1", "balancers": "[builtin]"}, "nobody"),
        ("06_balancers", {"balancers": "[builtin, apache]"}, "balancer cannot be 'apache'"),
        ("07_clients", {"flat_out": 0}, "concurrency cannot be 0"),
        ("07_clients", {"compared": "[curl]"}, "client cannot be 'curl'"),
        ("08_protocols", {"payload_bytes": 0}, "payload_bytes cannot be 0"),
        ("08_protocols", {"placement": "moon"}, "placement cannot be 'moon'"),
        ("09_compare", {"metric": "speed"}, "metric cannot be 'speed'"),
        ("09_compare", {"threshold": "-1.0"}, "threshold is -1.0"),
        ("09_compare", {"a": "nowhere"}, "there is no result 'nowhere'"),
        ("10_cores", {"work_ms": "['0,0,40']"}, "work_ms 0,0,40 names 3 services"),
        ("10_cores", {"warmup_s": "-2.0"}, "warmup_s cannot be -2.0"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    stem: str, typed: dict[str, object], said: str
) -> None:
    assert said in refusal(stem, **typed)


def test_one_fault_may_be_given_as_it_is_and_so_may_a_list() -> None:
    notebook = read_notebook(NOTEBOOKS / "05_faults.ipynb")
    one = "at 3 kill service1b for 4"
    assert read_parameters(notebook, [("faults", one)]) == {"faults": one}
    assert read_parameters(notebook, [("faults", f'["{one}"]')]) == {"faults": [one]}


@pytest.mark.parametrize("name", ["007", "1.10", "2026_11_27", "no", "12:30", "null", "1e3", "0x10"])
def test_a_name_is_text_whatever_yaml_thinks_of_it(name: str) -> None:
    assert read_parameters(read_notebook(NOTEBOOKS / "02_sweep.ipynb"), [("name", name)]) == {"name": name}
    assert f"there is no result {name!r}" in refusal("09_compare", a=name)
    assert f"there is no result {name!r}" in refusal("09_compare", b=name)


def test_a_corpus_and_choices_are_text_too_one_or_a_list() -> None:
    notebook = read_notebook(NOTEBOOKS / "02_sweep.ipynb")
    assert "1.10" in refusal("02_sweep", corpus="1.10")
    assert read_parameters(notebook, [("policy", "[random, peak_ewma]")]) == {
        "policy": ["random", "peak_ewma"]
    }


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_notebook_has_a_check_that_takes_its_parameters_and_no_others(path: Path) -> None:
    from importlib import import_module
    from inspect import signature

    notebook = read_notebook(path)
    module, _, function = notebook.metadata[CHECK].partition(":")
    takes = set(signature(getattr(import_module(module), function)).parameters) - {"unknown_ones"}
    assert takes == set(parameters_of(notebook))
    assert any(f"{function}(**parameters_in(globals()," in cell.source for cell in notebook.cells)
