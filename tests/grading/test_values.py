"""What crosses the pipe.

Plain values come out as they went in, and nothing else comes out at all.
"""

from __future__ import annotations

import contextlib
import json
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grading.limits import DEPTH, DIGITS, ENTRIES
from grading.values import Handle, StudentError, WireError, decode, encode, parse
from grading.worker import Values

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.fractions()
    | st.just(...)
)
keys = st.none() | st.booleans() | st.integers() | st.text()
plain = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=20,
)
wires = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.text(max_size=5)
    | st.sampled_from(
        ["n", "e", "b", "i", "f", "s", "F", "l", "t", "d", "h", "12", "0x1.8p+1", "nan"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=25,
)


def same(one: Any, other: Any) -> bool:
    """Equal and of the same types all the way down; nan is nan."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        ) or one != one != other
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(map(repr, one)) == list(map(repr, other)) and all(
            map(same, one.values(), other.values())
        )
    return bool(one == other)


def over(value: Any) -> Any:
    """Out of a worker: written there, through JSON, read here."""
    frame = json.dumps({"ok": Values(DEPTH, DIGITS, ENTRIES).write(value)}).encode()
    return decode(parse(frame)["ok"], 1)


@given(plain)
def test_plain_values_come_out_as_they_are(value: Any) -> None:
    assert same(over(value), value)


@given(plain)
def test_arguments_go_in_as_they_are(value: Any) -> None:
    wire = json.loads(json.dumps(encode(value, 1)))
    assert same(Values(DEPTH, DIGITS, ENTRIES).read(wire), value)


@given(wires)
def test_nothing_but_values_comes_out(wire: Any) -> None:
    """Whatever a student's process writes: a value of these very types, or WireError."""
    exact = (
        type(None),
        type(...),
        bool,
        int,
        float,
        str,
        Fraction,
        list,
        tuple,
        dict,
        Handle,
    )

    def check(value: Any) -> None:
        assert type(value) in exact
        for inner in (
            value.items() if type(value) is dict else value if type(value) in (list, tuple) else ()
        ):
            check(inner)

    with contextlib.suppress(WireError):
        check(decode(wire, 1))


@pytest.mark.parametrize(
    "wire",
    [
        ["i", "1" * (DIGITS + 1)],
        ["i", "1_0"],
        ["i", "٣"],
        ["i", 3],
        ["f", "0x" + "f" * 999 + "p+1"],
        ["f", "0x1.0p+99999"],
        ["f", "0x1.0p+9999"],
        ["d", [[["i", str(i)], ["n"]] for i in range(ENTRIES + 1)]],
        ["f", 1.5],
        ["b", 1],
        ["F", "1", "0"],
        ["d", [[["l", []], ["n"]]]],
        ["d", [[["t", [["l", []]]], ["n"]]]],
        ["d", [[["i", "1"], ["n"]], [["b", True], ["n"]]]],
        ["h", -1, "x", False],
        ["n", 1],
        [],
        {},
        ["l", [["n"], "n"]],
    ],
)
def test_what_is_no_value(wire: Any) -> None:
    with pytest.raises(WireError):
        decode(wire, 1)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff",
        b"[]",
        b"3",
        b'{"a": 1.5}',
        b'{"a": NaN}',
        b'{"a": 1, "a": 1}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 10**6,
        b'{"a": ' + b"[" * 10**5 + b"]" * 10**5 + b"}",
        b'{"a": 1} {"a": 1}',
    ],
)
def test_what_is_no_answer(frame: bytes) -> None:
    with pytest.raises(WireError):
        parse(frame)


def test_deep_values_are_refused_on_both_sides() -> None:
    value: list[Any] = []
    wire: list[Any] = ["l", []]
    for _ in range(DEPTH + 1):
        value, wire = [value], ["l", [wire]]
    with pytest.raises(WireError):
        decode(wire, 1)
    with pytest.raises(TypeError, match="nested"):
        encode(value, 1)


def test_half_characters_become_whole_ones() -> None:
    assert over("a\ud800b") == "a\N{REPLACEMENT CHARACTER}b"
    assert over("\ud83d\ude00") == "\U0001f600"


def test_subclasses_say_what_their_base_says() -> None:
    class Lies(int):
        def __index__(self) -> int:
            return 5

        __int__ = __index__

        def __repr__(self) -> str:
            return "5"

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    assert over(Lies(3)) == 3
    assert type(over(Lies(3))) is int


def test_objects_stay_behind() -> None:
    thing = over(object())
    assert isinstance(thing, Handle)
    assert repr(thing) == "<an object of type object>"
    assert encode(thing, 1) == ["h", 0]
    with pytest.raises(StudentError, match="lost"):
        encode(thing, 2)
    with pytest.raises(TypeError, match="plain values"):
        encode(object(), 1)


def test_arrays_come_as_lists() -> None:
    numpy = pytest.importorskip("numpy")
    assert same(over(numpy.array([[1, 2], [3, 4]])), [[1, 2], [3, 4]])
    assert same(over(numpy.float64(0.1)), 0.1)
    assert same(over(numpy.int64(7)), 7)
