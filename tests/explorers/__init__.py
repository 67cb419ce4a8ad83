"""The live figures in a real browser: the harness, a command that takes pictures, the tests."""

import sys
from pathlib import Path

# As pytest has it (pyproject.toml), for `python -m tests.explorers.shot` and `web/stills.py` too.
sys.path.insert(0, str(Path(__file__).parent.parent))
