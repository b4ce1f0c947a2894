"""An instance's ledger."""

from __future__ import annotations

from pathlib import Path

from services.instance import Ledger


def test_a_ledger_counts_the_executions_of_the_latest_ids_and_how_many_ids_it_forgot() -> None:
    ledger = Ledger(2)
    for request_id in ("r1", "r2", "r2", "r3"):
        ledger.note(request_id)
    assert (ledger.executed, ledger.forgotten) == ({"r2": 2, "r3": 1}, 1)


def test_a_ledgers_file_holds_what_began_and_outlives_the_ledger(tmp_path: Path) -> None:
    file = tmp_path / "ledger"
    for _ in range(2):
        ledger = Ledger(1, str(file))
        ledger.note("r1")
        ledger.note("r2")
        ledger.close()
        ledger.note("too late")
    assert file.read_text() == "r1\nr2\nr1\nr2\n"
