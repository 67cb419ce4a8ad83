"""What holds for all tests: reproducible examples, the marks, no test skipped unseen."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: torch with a thread per core in each waits more than it works.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile("book", derandomize=True, deadline=None)
settings.load_profile("book")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test of the built site is slow as well, so that `-m "not slow"` needs no built book."""
    for item in items:
        if item.get_closest_marker("site"):
            item.add_marker("slow")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Under NO_SKIPS=1, as `make test` runs it, a skipped test is a failed run."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = len(reporter.stats.get("skipped", ())) if reporter else 0
    if skipped and os.environ.get("NO_SKIPS") and exitstatus == pytest.ExitCode.OK:
        reporter.write_line(
            f"{skipped} tests were skipped; `make test` takes that for a failure", red=True
        )
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
