"""A notebook kept running.

Values, functions and objects in the tests' hands, and workers that die.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from grading_kit import FAST

from grading.notebook import Cell
from grading.sandbox import Nursery, Sandbox
from grading.session import BudgetError, HangError, Session, UndefinedError
from grading.values import Handle, StudentError

pytestmark = pytest.mark.slow  # each starts sandboxes of its own

SOURCE = """\
import os
from fractions import Fraction
class Net:
    def __init__(self, layers):
        self.layers = layers
def build(layers):
    return Net(layers)
def probe(net, size, *, more=0):
    return {"sizes": (size, more, Fraction(1, 3)), "layers": net.layers}
def die():
    os._exit(1)
def hidden(x):
    raise ValueError(x)
def own(x):
    raise type(str(x), (Exception,), {})
number = 3
class Layer:
    def __call__(self, x):
        return x + 1
layer = Layer()
def apply(f, x):
    return f(x)
"""


@pytest.fixture
def session(nursery: Nursery) -> Iterator[Session]:
    cells = [Cell("markdown", "# Title"), Cell("code", SOURCE)]
    found = Session(cells, FAST, lambda: Sandbox(FAST, nursery))
    yield found
    found.close()


def function(session: Session, name: str) -> Any:
    return session.get(name)


def test_objects_pass_through_the_tests_hands(session: Session) -> None:
    build, probe = function(session, "build"), function(session, "probe")
    net = build([("conv", 3), ("relu",)])
    assert isinstance(net, Handle)
    assert probe(net, 32, more=-1) == {
        "sizes": (32, -1, Fraction(1, 3)),
        "layers": [("conv", 3), ("relu",)],
    }
    assert session.get("number") == 3
    assert isinstance(function(session, "Net")([]), Handle)
    layer = function(session, "layer")  # an object that can be called, too
    assert layer(3) == 4
    assert function(session, "apply")(layer, 4) == 5


def test_what_is_lost_when_a_worker_dies_and_what_is_not(session: Session) -> None:
    net = function(session, "build")([])
    with pytest.raises(HangError, match="exit status 1"):
        function(session, "die")()
    with pytest.raises(StudentError, match="lost"):
        function(session, "probe")(net, 3)
    assert session.get("number") == 3  # the cells were played again
    net = function(session, "build")([1])
    assert function(session, "probe")(net, 3)["layers"] == [1]
    assert session.suspicions == ["`die`: it ended its process (exit status 1)"]


def test_errors_in_words_with_and_without_what_they_were_asked(session: Session) -> None:
    with pytest.raises(StudentError, match="ValueError: secret 17") as caught:
        function(session, "hidden")("secret 17")
    assert "line 13" in str(caught.value)
    assert caught.value.public == "your `hidden` raised ValueError"
    with pytest.raises(StudentError, match="secret 18") as caught:
        function(session, "own")("secret 18")
    assert caught.value.public == "your `own` raised an exception of its own"
    with pytest.raises(StudentError, match="TypeError: build"):
        function(session, "build")(1, 2, 3)
    with pytest.raises(UndefinedError, match="`nothing` is not defined"):
        session.get("nothing")


def test_budgets(nursery: Nursery) -> None:
    limits = dataclasses.replace(FAST, student_s=1.0, deaths=1)
    slow = Session(
        [Cell("code", "while True:\n    pass")], limits, lambda: Sandbox(limits, nursery)
    )
    with pytest.raises(BudgetError, match="used up its 1 seconds"):
        slow.get("x")
    slow.close()
    cells = [Cell("code", "import os\nos._exit(1)")] * 3
    dying = Session(cells, limits, lambda: Sandbox(limits, nursery))
    with pytest.raises(BudgetError, match="2 processes of this notebook had hung or died"):
        dying.get("x")
    dying.close()


def test_what_a_cell_prints_when_it_is_played_again(nursery: Nursery) -> None:
    """A cell that dies only then may print what a hidden test has asked."""
    begin = time.time()
    source = (
        f"import os, time\nif time.time() > {begin + 2}:\n"
        "    print('17', flush=True)\n    os._exit(1)\n"
    )
    cells = [Cell("code", source), Cell("code", "def die():\n    os._exit(1)")]
    session = Session(cells, FAST, lambda: Sandbox(FAST, nursery))
    with pytest.raises(HangError):
        function(session, "die")()
    time.sleep(max(begin + 2.1 - time.time(), 0))
    with pytest.raises(StudentError):
        function(session, "die")()
    assert "ended" in session.notes[1].error
    assert session.notes[1].printed == ""
    session.close()


def test_tensors_come_as_lists() -> None:
    """torch comes from the nursery, ready; what a student returns of it is numbers."""
    nursery = Nursery(FAST, ("torch",))
    nursery.ensure()
    limits = dataclasses.replace(FAST, address_space=4 << 30, memory=2 << 30)
    source = (
        "import torch\n"
        "def slope(n):\n    x = torch.ones(n, requires_grad=True)\n    (x * x).sum().backward()\n"
        "    return x.grad, x, torch.tensor(2), x.shape, torch.nn.Linear(1, 1)\n"
    )
    session = Session([Cell("code", source)], limits, lambda: Sandbox(limits, nursery))
    grad, x, two, shape, layer = function(session, "slope")(2)
    assert (grad, x, two, shape) == ([2.0, 2.0], [1.0, 1.0], 2, (2,))
    assert type(two) is int
    assert isinstance(layer, Handle)
    session.close()
    nursery.end()
