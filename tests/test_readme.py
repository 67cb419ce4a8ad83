"""What README.md shows runs, and gives what its comments say."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def test_the_snippet_gives_what_it_says() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    said = re.findall(r"^(\S.*?)  # (\d+)$", code, re.MULTILINE)
    assert said, "the snippet says no result"
    exec(code, names)
    for expression, result in said:
        assert eval(expression, names) == int(result), expression
