"""A terminal that lacks characters gets plainer ones."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_lacks_is_written_plainly(encoding: str) -> None:
    program = "from lab.plain_text import write_plainly; write_plainly(); print('3–4× ✓ ⚙')"
    environ = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, check=True)
    expected = {"ascii": "3-4x ok \\u2699", "latin-1": "3-4× ok \\u2699", "utf-8": "3–4× ✓ ⚙"}
    assert done.stdout.decode(encoding).strip() == expected[encoding]
