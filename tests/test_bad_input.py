"""Nonsense gets a ValueError or TypeError that names the argument, the value and what is allowed.

One table: a call, the name that must be said, the value as shown, and what is said to be allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

import rflib
from rflib import Layer

TWO_AXES = [Layer((3, 3), stride=(2, 1))]
UP = {"kernel": 3, "stride": 2, "transposed": True}
HUGE = 10**5000  # more digits than Python is willing to print


class Case(NamedTuple):
    name: str
    call: Callable[[], object]
    argument: str
    shown: str
    allowed: str


class Strange:
    def __repr__(self) -> str:
        return "<strange>"


# Where an integer is wanted (or one per axis), none of these will do: value, and how it is shown.
NOT_INTEGERS: dict[str, tuple[Any, str]] = {
    "negative": (-1, "-1"),
    "float": (1.5, "1.5"),
    "whole float": (3.0, "3.0"),
    "NaN": (math.nan, "nan"),
    "infinity": (math.inf, "inf"),
    "complex": (1j, "1j"),
    "Fraction": (Fraction(3, 2), "Fraction(3, 2)"),
    "bool": (True, "True"),
    "bytes": (b"3", "b'3'"),
    "dict": ({"a": 1}, "{'a': 1}"),
    "set": ({3}, "{3}"),
    "object": (Strange(), "<strange>"),
    "type": (int, "<class 'int'>"),
    "empty tuple": ((), "()"),
    "empty list": ([], "[]"),
    "nested too deep": ((((3,),),), "(3,)"),
    "None in a tuple": ((3, None), "None"),
    "negative in a tuple": ((3, -1), "-1"),
    "float in a list": ([1.5, 3], "1.5"),
    "string in a tuple": ((3, "3"), "'3'"),
    "bool in a tuple": ((3, False), "False"),
    "a million floats": ([0.5] * 10**6, "0.5"),
    "tensor of two": (torch.tensor([3, 3]), "tensor([3, 3])"),
    "float tensor": (torch.tensor(3.5), "tensor(3.5"),
}
STRING = {"string": ("3", "'3'"), "empty string": ("", "''")}
NONE = {"None": (None, "None")}
ZERO = {"zero": (0, "0"), "zero in a tuple": ((3, 0), "0")}


def layer_with(argument: str, value: Any) -> Callable[[], object]:
    given = {"kernel": 3, argument: value}
    if argument == "output_padding":
        given |= {"stride": 2, "transposed": True}
    return lambda: Layer(**given)


def integer_cases() -> Iterator[Case]:
    """Every argument of every public function that wants integers, with every nonsense."""
    anything = NOT_INTEGERS | STRING | NONE
    for argument in ("kernel", "stride", "dilation"):
        for kind, (value, shown) in (anything | ZERO).items():
            yield Case(
                f"Layer {argument} {kind}", layer_with(argument, value), argument, shown, "integer"
            )
    for kind, (value, shown) in anything.items():
        yield Case(
            f"Layer output_padding {kind}",
            layer_with("output_padding", value),
            "output_padding",
            shown,
            "integer",
        )
    for kind, (value, shown) in (NOT_INTEGERS | NONE).items():
        yield Case(
            f"Layer padding {kind}", layer_with("padding", value), "padding", shown, "integer"
        )

    at_least_one: dict[str, Callable[[Any], object]] = {
        "input_size output": lambda value: rflib.input_size([(3,)], output=value),
        "phases output": lambda value: rflib.phases([(3,)], output=value),
        "inputs_for output": lambda value: rflib.inputs_for([(3,)], output=value),
        "output_size input_size": lambda value: rflib.output_size([(3,)], input_size=value),
    }
    for name, call in at_least_one.items():
        for kind, (value, shown) in (anything | ZERO).items():
            yield Case(
                f"{name} {kind}", lambda c=call, v=value: c(v), name.split()[1], shown, "integer"
            )
    places: dict[str, Callable[[Any], object]] = {
        "region unit": lambda value: rflib.region([(3,)], unit=value),
        "reads unit": lambda value: rflib.reads([(3,)], unit=value),
        "reaches pixel": lambda value: rflib.reaches([(3,)], pixel=value),
        "reached pixel": lambda value: rflib.reached([(3,)], pixel=value),
    }
    for name, call in places.items():
        for kind, (value, shown) in anything.items():
            yield Case(
                f"{name} {kind}", lambda c=call, v=value: c(v), name.split()[1], shown, "integer"
            )
    with_size: dict[str, Callable[[Any], object]] = {
        "region input_size": lambda value: rflib.region([(3,)], 0, input_size=value),
        "reads input_size": lambda value: rflib.reads([(3,)], 0, input_size=value),
        "reaches input_size": lambda value: rflib.reaches([(3,)], 0, input_size=value),
        "reached input_size": lambda value: rflib.reached([(3,)], 0, input_size=value),
    }
    for name, call in with_size.items():
        for kind, (value, shown) in (NOT_INTEGERS | STRING | ZERO).items():
            yield Case(
                f"{name} {kind}", lambda c=call, v=value: c(v), name.split()[1], shown, "integer"
            )


# What is no list of layers: value, the place that is named, how it is shown, what is allowed.
NOT_LAYERS: dict[str, tuple[Any, str, str, str]] = {
    "None": (None, "layers", "None", "sequence of layers"),
    "number": (3, "layers", "3", "sequence of layers"),
    "NaN": (math.nan, "layers", "nan", "sequence of layers"),
    "string": ("3", "layers", "'3'", "sequence of layers"),
    "bytes": (b"33", "layers", "b'33'", "sequence of layers"),
    "dict": ({"kernel": 3}, "layers", "{'kernel': 3}", "sequence of layers"),
    "object": (Strange(), "layers", "<strange>", "sequence of layers"),
    "empty list": ([], "layers", "[]", "at least one layer"),
    "empty tuple": ((), "layers", "()", "at least one layer"),
    "empty Sequential": (nn.Sequential(), "layers", "Sequential()", "at least one layer"),
    "class in place of a module": (nn.Conv2d, "layers", "Conv2d", "sequence of layers"),
    "bare tuple": ((3, 2), "layers[0]", "3", "(3,)"),
    "bare kernels": ([(3,), 5], "layers[1]", "5", "(5,)"),
    "None inside": ([(3,), None], "layers[1]", "None", "Layer"),
    "string inside": (["3"], "layers[0]", "'3'", "Layer"),
    "bool inside": ([True], "layers[0]", "True", "Layer"),
    "float inside": ([(3,), 1.5], "layers[1]", "1.5", "Layer"),
    "class inside": ([nn.ReLU], "layers[0]", "ReLU", "torch module"),
    "empty tuple inside": ([(3,), ()], "layers[1]", "()", "(kernel, stride)"),
    "five numbers": ([(1, 2, 3, 4, 5)], "layers[0]", "(1, 2, 3, 4, 5)", "(kernel, stride)"),
    "a million numbers": ([(3,) * 10**6], "layers[0]", "3, 3", "(kernel, stride)"),
    "nested lists": ([[[(3,)]]], "layers[0]", "(3,)", "integer"),
    "kernel 0": ([(3,), (0,)], "layers[1]", "got 0", "kernel must be an integer of at least 1"),
    "stride -1": ([(3, -1)], "layers[0]", "got -1", "stride must be an integer of at least 1"),
    "padding -2": ([(3, 1, -2)], "layers[0]", "got -2", "padding must be an integer of at least 0"),
    "dilation 0": ([(3, 1, 0, 0)], "layers[0]", "got 0", "dilation must be an integer of at least"),
    "padding full": ([(3, 1, "full")], "layers[0]", "'full'", '"same", "valid"'),
    "same with stride 2": ([(3, 2, "same")], "layers[0]", "stride 2", "stride of 1"),
    "empty dict": ([{}], "layers[0]", "{}", "must have kernel"),
    "dict without kernel": ([{"stride": 2}], "layers[0]", "{'stride': 2}", "must have kernel"),
    "unknown key": ([{"kernel": 3, "strid": 2}], "layers[0]", "'strid'", "stride"),
    "key of no string": ([{"kernel": 3, 7: 2}], "layers[0]", "7", "stride"),
    "dict with nonsense": ([{"kernel": 3, "name": 5}], "layers[0]", "5", "string"),
    "axes 2 and 3": ([((3, 3),), ((3, 3, 3),)], "layers[1]", "3", "agree on the number of axes"),
    "axes of modules": (
        [nn.Conv1d(1, 1, 3), nn.Conv2d(1, 1, 3)],
        "layers[1]",
        "2",
        "agree on the number of axes",
    ),
    "module without a place": ([nn.Linear(1, 1)], "layers[0]", "Linear", "rflib.trace"),
    "container of modules": (nn.ModuleList([nn.ReLU()]), "layers", "ModuleList", "rflib.trace"),
    "container without an order": (nn.ModuleList([nn.ReLU()]), "layers", "ModuleList", "order"),
    "positions in channels": (nn.PixelUnshuffle(2), "layers", "PixelUnshuffle", "rflib.trace"),
    "pool that torch refuses": (nn.MaxPool2d(2, padding=2), "layers", "(2, 2)", "half"),
    "pool of 2.5": ([nn.MaxPool2d(2.5)], "layers[0]", "2.5", "integer"),
    "endless upsampling": (nn.Upsample(scale_factor=float("inf")), "layers", "inf", "whole number"),
    "upsampling that float32 misses": (nn.Upsample(scale_factor=41), "layers", "41", "float32"),
    "set": ({(3, 1), (5, 2)}, "layers", "(5, 2)", "no order"),
    "stages": ([[(3, 1), (3, 1)], [(5, 2), (3, 1)]], "layers[0]", "(3, 1)", "join"),
}

FUNCTIONS: dict[str, Callable[[Any], object]] = {
    "read": lambda layers: rflib.read(layers),
    "recurrence": lambda layers: rflib.recurrence(layers),
    "receptive_field": lambda layers: rflib.receptive_field(layers),
    "input_size": lambda layers: rflib.input_size(layers),
    "phases": lambda layers: rflib.phases(layers),
    "output_size": lambda layers: rflib.output_size(layers, 99),
    "inputs_for": lambda layers: rflib.inputs_for(layers, 1),
    "region": lambda layers: rflib.region(layers, 0),
    "reads": lambda layers: rflib.reads(layers, 0),
    "reaches": lambda layers: rflib.reaches(layers, 0),
    "reached": lambda layers: rflib.reached(layers, 0),
}


def layers_cases() -> Iterator[Case]:
    for function, call in FUNCTIONS.items():
        for kind, (value, place, shown, allowed) in NOT_LAYERS.items():
            yield Case(
                f"{function} layers {kind}", lambda c=call, v=value: c(v), place, shown, allowed
            )


def switch_cases() -> Iterator[Case]:
    calls: dict[str, tuple[str, Callable[[Any], object]]] = {
        "Layer": ("transposed", lambda value: Layer(3, transposed=value)),
        "Layer ": ("ceil_mode", lambda value: Layer(3, ceil_mode=value)),
        "input_size": ("steps", lambda value: rflib.input_size([(3,)], steps=value)),
        "output_size": ("steps", lambda value: rflib.output_size([(3,)], 9, steps=value)),
        "region": ("clip", lambda value: rflib.region([(3,)], 0, 9, clip=value)),
    }
    for function, (argument, call) in calls.items():
        for value in (0, 1, None, "yes", "", 1.0, math.nan, [], [True], Strange()):
            yield Case(
                f"{function} {argument} {value!r}",
                lambda c=call, v=value: c(v),
                argument,
                repr(value),
                "True or False",
            )


SINGLE = [
    # What does not go together in a layer.
    Case("lengths", lambda: Layer((3, 3), stride=(1, 1, 1)), "stride", "(1, 1, 1)", "same number"),
    Case("pads", lambda: Layer((3, 3), padding=(1, 1, 1)), "padding", "(1, 1, 1)", "same number"),
    Case("dilations", lambda: Layer((3,), dilation=(1, 2)), "dilation", "(1, 2)", "same number"),
    Case("triple", lambda: Layer(3, padding=((1, 2, 3), 0)), "padding[0]", "(1, 2, 3)", "pair"),
    Case("single", lambda: Layer(3, padding=((1,), 0)), "padding[0]", "(1,)", "pair"),
    Case("empty pair", lambda: Layer(3, padding=((), 0)), "padding[0]", "()", "pair"),
    Case(
        "negative side", lambda: Layer(3, padding=((1, -1),)), "padding[0][1]", "-1", "at least 0"
    ),
    Case("float side", lambda: Layer(3, padding=((0.5, 1),)), "padding[0][0]", "0.5", "integer"),
    Case("padding word", lambda: Layer(3, padding="full"), "padding", "'full'", '"same"'),
    Case("padding case", lambda: Layer(3, padding="SAME"), "padding", "'SAME'", '"same"'),
    Case("padding empty", lambda: Layer(3, padding=""), "padding", "''", '"valid"'),
    Case("padding words", lambda: Layer(3, padding=("same",)), "padding[0]", "'same'", "integer"),
    Case("same stride", lambda: Layer(3, 2, "same"), "padding", "stride 2", "stride of 1"),
    Case("same one axis", lambda: Layer(3, (1, 2), "same"), "padding", "stride 2", "stride of 1"),
    Case(
        "same transposed",
        lambda: Layer(3, padding="same", transposed=True),
        "padding",
        "same",
        "not transposed",
    ),
    Case(
        "output_padding alone", lambda: Layer(3, 2, output_padding=1), "output_padding", "1", "be 0"
    ),
    Case(
        "output_padding too large",
        lambda: Layer(3, 2, transposed=True, output_padding=2),
        "output_padding",
        "got 2",
        "smaller than",
    ),
    Case(
        "output_padding on one axis",
        lambda: Layer(3, (3, 1), transposed=True, output_padding=(2, 1)),
        "output_padding",
        "got 1",
        "smaller than",
    ),
    Case("ceil", lambda: Layer(3, transposed=True, ceil_mode=True), "ceil_mode", "True", "False"),
    *(
        Case(
            f"padding_mode {value!r}",
            lambda v=value: Layer(3, padding_mode=v),
            "padding_mode",
            repr(value),
            "reflect",
        )
        for value in ("wrap", "", "Zeros", None, 0, True, 1.5, [], ["zeros"], Strange())
    ),
    *(
        Case(f"name {value!r}", lambda v=value: Layer(3, name=v), "name", repr(value), "string")
        for value in (None, 3, b"conv", ["conv"], True)
    ),
    Case(
        "padding_mode transposed",
        lambda: Layer(3, transposed=True, padding_mode="reflect"),
        "padding_mode",
        "'reflect'",
        '"zeros"',
    ),
    # The order of reading.
    *(
        Case(
            f"order {value!r}",
            lambda v=value: rflib.read([(3,)], order=v),
            "order",
            repr(value),
            '"definition"',
        )
        for value in ("", "forward", "Definition", 0, 1, True, False, ["definition"], 1.5)
    ),
    # Places and sizes that do not fit the layers.
    Case("two outputs", lambda: rflib.input_size([(3,)], (1, 2)), "output", "(1, 2)", "an integer"),
    Case("one in a tuple", lambda: rflib.input_size([(3,)], (1,)), "output", "(1,)", "an integer"),
    Case(
        "3 of 2", lambda: rflib.input_size(TWO_AXES, (1, 2, 3)), "output", "(1, 2, 3)", "2 integers"
    ),
    Case("1 of 2", lambda: rflib.phases(TWO_AXES, (1,)), "output", "(1,)", "2 integers"),
    Case("sizes", lambda: rflib.output_size(TWO_AXES, (9,)), "input_size", "(9,)", "2 integers"),
    Case(
        "inputs", lambda: rflib.inputs_for(TWO_AXES, [1] * 3), "output", "[1, 1, 1]", "2 integers"
    ),
    Case("units", lambda: rflib.region(TWO_AXES, (0, 0, 0)), "unit", "(0, 0, 0)", "2 integers"),
    Case("unit tuple", lambda: rflib.region([(3,)], (0, 0)), "unit", "(0, 0)", "an integer"),
    Case("pixels", lambda: rflib.reaches(TWO_AXES, (0,)), "pixel", "(0,)", "2 integers"),
    Case(
        "shape", lambda: rflib.reads(TWO_AXES, 0, (9, 9, 9)), "input_size", "(9, 9, 9)", "2 integ"
    ),
    Case("unit 3 of 3", lambda: rflib.region([(3, 2)], 3, 7), "unit", "got 3", "0 to 2"),
    Case("unit on one axis", lambda: rflib.reads(TWO_AXES, (3, 3), 8), "unit", "got 3", "0 to 2"),
    Case("pixel 9 of 9", lambda: rflib.reaches([(3,)], 9, 9), "pixel", "got 9", "0 to 8"),
    Case("pixel far out", lambda: rflib.reached([(3,)], 10**9, 9), "pixel", "1000000000", "0 to 8"),
    Case("clip only", lambda: rflib.region([(3,)], 0, clip=True), "input_size", "None", "be given"),
    Case("too small", lambda: rflib.output_size([(3,)], 2), "input_size", "got 2", "large enough"),
    Case(
        "small on one axis", lambda: rflib.output_size(TWO_AXES, (9, 2)), "input_size", "2", "large"
    ),
    Case(
        "small inside",
        lambda: rflib.region([(3,), (5,)], 0, 6),
        "input_size",
        "got 6",
        "large enough",
    ),
    Case(
        "reflect too far",
        lambda: rflib.output_size([Layer(3, padding=4, padding_mode="reflect")], 4),
        "input_size",
        "got 4",
        "large enough",
    ),
    # Answers that would fill the memory.
    Case("list of inputs", lambda: rflib.reads([(10**9,)], 0), "set", "1000000000", "at most"),
    Case("list of units", lambda: rflib.reached([(10**9,)], 10**9), "set", "1000000000", "at most"),
    Case(
        "phases",
        lambda: rflib.phases([Layer(3, 10**6, transposed=True)]),
        "layers",
        "phases",
        "at most",
    ),
    Case(
        "no such output", lambda: rflib.inputs_for([UP], 4), "output", "got 4", "some input gives"
    ),
]


def effective_cases() -> Iterator[Case]:
    nonsense = NOT_INTEGERS | STRING
    del nonsense["negative"]
    for argument in ("samples", "channel"):
        for kind, (value, shown) in nonsense.items():
            yield Case(
                f"effective {argument} {kind}",
                lambda a=argument, v=value: rflib.effective(nn.ReLU(), (1, 1, 5), **{a: v}),
                argument,
                shown,
                "whole number",
            )
    choices = {
        "power": "'squared' or 'absolute'",
        "dtype": "torch.float64 or torch.float32",
        "theoretical": "True or False",
        "progress": "True, False or None",
    }
    for argument, allowed in choices.items():
        for value in (0, 1, "yes", "", 1.0, math.nan, [], [True], Strange()):
            yield Case(
                f"effective {argument} {value!r}",
                lambda a=argument, v=value: rflib.effective(nn.ReLU(), (1, 1, 5), **{a: v}),
                argument,
                repr(value),
                allowed,
            )


def huge_cases() -> Iterator[Case]:
    """Numbers beyond what Python prints: the message still comes, and still names the argument."""
    calls: dict[str, Callable[[], object]] = {
        "kernel": lambda: Layer(-HUGE),
        "stride": lambda: Layer(3, -HUGE),
        "padding": lambda: Layer(3, padding=-HUGE),
        "output_padding": lambda: Layer(3, 2, transposed=True, output_padding=HUGE),
        "unit": lambda: rflib.region([(3,)], HUGE, 9),
        "pixel": lambda: rflib.reaches([(3,)], HUGE, 9),
        "output": lambda: rflib.input_size([(3,)], output=-HUGE),
        "input_size": lambda: rflib.output_size([(3,), (HUGE,)], 9),
    }
    for argument, call in calls.items():
        yield Case(f"huge {argument}", call, argument, "", "must be")


CASES = [
    *integer_cases(),
    *layers_cases(),
    *switch_cases(),
    *effective_cases(),
    *SINGLE,
    *huge_cases(),
]


def test_there_are_enough_cases_and_no_two_of_a_name() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) > 80


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_nonsense_is_answered_in_words(case: Case) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        case.call()
    assert type(caught.value) in (TypeError, ValueError)
    message = str(caught.value)
    assert case.argument in message
    assert case.shown in message
    assert case.allowed in message
    assert len(message) < 700, "a value of any size is shown in short"


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: Layer(0), ValueError),
        (lambda: Layer("3"), TypeError),
        (lambda: Layer(True), TypeError),
        (lambda: rflib.region([(3,)], -1), ValueError),
        (lambda: rflib.region([(3,)], 1.0), TypeError),
        (lambda: rflib.recurrence([]), ValueError),
        (lambda: rflib.recurrence(None), TypeError),
        (lambda: rflib.recurrence([nn.Linear(1, 1)]), TypeError),
    ],
)
def test_wrong_kind_is_a_type_error_and_wrong_value_a_value_error(
    call: Callable[[], object], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        call()


@pytest.mark.parametrize(
    "call",
    [
        lambda: Layer(3, strides=2),
        lambda: Layer(3, 1, 0, 1, True),
        lambda: Layer(),
        lambda: rflib.region([(3,)]),
        lambda: rflib.output_size([(3,)]),
        lambda: rflib.reaches([(3,)]),
    ],
)
def test_unknown_and_missing_arguments(call: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        call()


def test_a_list_that_holds_itself() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises((TypeError, ValueError), match=r"layers\[0\].*integer"):
        rflib.recurrence(endless)


def test_nothing_is_changed_by_a_refused_call() -> None:
    layers = [{"kernel": 3}, {"kernel": 0}]
    with pytest.raises(ValueError, match="kernel"):
        rflib.read(layers)
    assert layers == [{"kernel": 3}, {"kernel": 0}]
