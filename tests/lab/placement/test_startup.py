"""What a start costs is measured by a program, from any folder."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lab.children import child_command


@pytest.mark.parametrize(("topology", "servers"), [("sequential", 4), ("parallel", 20)])
def test_the_program_prints_the_cost_as_json_also_where_a_folder_hides_the_lab(
    topology: str, servers: int, tmp_path: Path
) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "__init__.py").touch()
    (tmp_path / "lab.py").touch()
    command = child_command("lab.placement.startup", topology, "processes")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    cost = json.loads(done.stdout)
    assert cost["servers"] == servers
    assert all(cost[figure] > 0 for figure in ("import_ms", "start_ms", "stop_ms", "rss_mb"))
