"""What the tests of the assignments compare with, and what they say where an answer is wrong.

A test is run in two places: in the student's notebook, where the release step embeds those of these
functions that its visible tests use, and in the grader, where answers arrive as plain values.  So a
function here uses the standard library and its neighbours in this file, and survives every value.
"""

from __future__ import annotations

import hmac
import random
import reprlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

SEED = ""  # in hexadecimal digits; the grader sets it to the seed of assignment.json


def draw(name: str) -> random.Random:
    """Return the random numbers of the hidden test `name`, the same at every grading."""
    if not SEED:
        raise RuntimeError("grading.asserts.SEED is not set: set it to the seed of assignment.json")
    return random.Random(hmac.digest(bytes.fromhex(SEED), name.encode(), "sha256"))


def told(value: object) -> str:
    """Return `value` in few words: as Python writes it, shortened where it is long."""
    words = reprlib.Repr()
    words.maxlist = words.maxtuple = words.maxdict = 12
    words.maxstring = words.maxlong = words.maxother = 60
    return words.repr(plain(value))


def plain(value: object) -> object:
    """Return what a tensor or an array holds as numbers and lists, all else as it is."""
    tolist = None if isinstance(value, type) else getattr(value, "tolist", None)
    return tolist() if callable(tolist) else value


def whole(value: object) -> bool:
    """Say whether `value` is a whole number: an int, and not True or False."""
    return type(plain(value)) is int


def same(got: object, wanted: object) -> bool:
    """Say whether `got` is exactly `wanted`; a list will do for a tuple, an int for a Fraction."""
    got = plain(got)
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(got, (list, tuple))
            and len(got) == len(wanted)
            and all(same(one, other) for one, other in zip(got, wanted, strict=True))
        )
    exact = (int, Fraction)
    kinds = type(got) is type(wanted) or (type(got) in exact and type(wanted) in exact)
    return kinds and bool(got == wanted)


def listed(value: object) -> bool:
    """Say whether `value` is a list or a tuple."""
    return isinstance(plain(value), (list, tuple))


def kind(got: object, wanted: object) -> str:
    """Say in words what is wrong with the type of `got`; nothing where the type is right."""
    got = plain(got)
    if got is ...:
        return "That is still the three dots of the empty notebook."
    if got is None:
        return "Does the function return its result?"
    if isinstance(got, bool) and not isinstance(wanted, bool):
        return "True and False are no numbers here."
    if isinstance(got, float) and isinstance(wanted, int):
        return "Pixels are counted in whole numbers (int): where you divide, use //."
    if isinstance(got, float) and isinstance(wanted, Fraction):
        return "A float is rounded; a Fraction, such as Fraction(3, 8), is exact."
    if isinstance(got, str) and not isinstance(wanted, str):
        return "That is a text; leave out the quotation marks."
    if isinstance(wanted, (list, tuple)):
        if not isinstance(got, (list, tuple)):
            return f"A list or a tuple with {len(wanted)} entries is asked for."
        if len(got) != len(wanted):
            return f"It has {len(got)} entries, and should have {len(wanted)}."
        problems = (kind(one, other) for one, other in zip(got, wanted, strict=True))
        return next((problem for problem in problems if problem), "")
    if isinstance(wanted, int) and not isinstance(wanted, bool) and not whole(got):
        return "A whole number is asked for."
    if isinstance(wanted, Fraction) and not isinstance(got, (int, Fraction)):
        return "A Fraction is asked for."
    return ""


def number(what: str, got: object) -> int:
    """Return `got` as an int, or say in words that it is not a whole number."""
    hint(what, got, 1, [])
    value = plain(got)
    assert isinstance(value, int)
    return value


def expect(
    what: str,
    got: object,
    wanted: object,
    hints: Iterable[tuple[object, str]] = (),
) -> None:
    """Raise AssertionError, with a message that teaches, unless `got` is the same as `wanted`.

    what : the call or the name, as the student would write it.
    hints : pairs of a wrong answer and what leads to it.
    """
    if same(got, wanted):
        return
    reasons = [reason for wrong, reason in hints if same(got, wrong)]
    reason = reasons[0] if reasons else kind(got, wanted)
    raise AssertionError(f"{what} is {told(got)}. {reason or f'It should be {told(wanted)}.'}")


def hint(what: str, got: object, like: object, hints: Iterable[tuple[object, str]]) -> None:
    """Raise AssertionError where `got` has not the type of `like`, or is wrong in a known way."""
    problem = kind(got, like)
    reasons = [reason for wrong, reason in hints if same(got, wrong)] + [problem] * bool(problem)
    if reasons:
        raise AssertionError(f"{what} is {told(got)}. {reasons[0]}")


def network(what: str, layers: object, least: int, most: int, entries: Sequence[str]) -> list[Any]:
    """Return `layers` as a list of tuples of whole numbers, or say in words what it is not.

    least, most : how many layers are allowed.
    entries : the names of a layer's numbers; each is at least 1, but for "padding", at least 0.
    """
    layers = plain(layers)
    form = f"({', '.join(entries)})"
    if layers is ...:
        raise AssertionError(f"{what} is still the three dots of the empty notebook.")
    if not isinstance(layers, (list, tuple)):
        raise AssertionError(f"{what} is {told(layers)}. A list of layers {form} is asked for.")
    if not least <= len(layers) <= most:
        allowed = f"{least}" if least == most else f"{least} to {most}"
        raise AssertionError(f"{what} has {len(layers)} layers; {allowed} are allowed.")
    for i, layer in enumerate(layers):
        if not isinstance(layer, (list, tuple)) or len(layer) != len(entries):
            raise AssertionError(f"{what}[{i}] is {told(layer)}. A layer is {form}.")
        for name, number in zip(entries, layer, strict=True):
            lowest = 0 if name == "padding" else 1
            if not whole(number) or not lowest <= number <= 1_000_000:
                raise AssertionError(
                    f"{what}[{i}] is {told(layer)}. Its {name} must be a whole number of at "
                    f"least {lowest}."
                )
    return [tuple(layer) for layer in layers]


def chain(what: str, layers: object, allowed: Sequence[str]) -> list[Any]:
    """Return `layers` as assignment 2 writes networks, or say in words what it is not.

    ("conv", kernel, stride, weight) with 1 to 3 numbers, ("max", kernel), ("relu",), ("norm",).
    """
    layers = plain(layers)
    if layers is ...:
        raise AssertionError(f"{what} is still the three dots of the empty notebook.")
    if not listed(layers):
        raise AssertionError(f"{what} is {told(layers)}. A list of layers for build is asked for.")
    assert isinstance(layers, (list, tuple))
    if not 1 <= len(layers) <= 20:
        raise AssertionError(f"{what} has {len(layers)} layers; 1 to 20 are allowed.")
    for i, layer in enumerate(layers):
        here = f"{what}[{i}] is {told(layer)}."
        if not listed(layer) or not layer or layer[0] not in ("conv", "max", "relu", "norm"):
            raise AssertionError(f'{here} A layer is a tuple such as ("conv", 3) or ("relu",).')
        name, *numbers = layer
        if name not in allowed:
            raise AssertionError(f"{here} Only {', '.join(allowed)} are allowed here.")
        if name == "conv" and len(numbers) == 3:
            weight = numbers.pop()
            if type(weight) not in (int, float) or not 1e-30 <= abs(weight) <= 1e30:
                raise AssertionError(f"{here} A weight from 1e-30 to 1e30 (or less 0) is allowed.")
        fewest, most = {"conv": (1, 2), "max": (1, 1)}.get(name, (0, 0))
        if not fewest <= len(numbers) <= most:
            raise AssertionError(f"{here} It has too few or too many numbers.")
        if not all(whole(number) and 1 <= number <= 30 for number in numbers):
            raise AssertionError(f"{here} Kernel and stride are whole numbers from 1 to 30.")
    return [tuple(layer) for layer in layers]


def windows(layers: Iterable[Sequence[Any]]) -> list[tuple[int, int]]:
    """Return (kernel, stride) of each layer in a checked `chain`, for rflib."""
    found = []
    for name, *numbers in layers:
        kernel, stride = ([*numbers, 1] if name == "conv" else [*numbers * 2, 1, 1])[:2]
        found.append((kernel, stride))
    return found


def naive(layers: Iterable[Sequence[Any]], size: int) -> tuple[int, int]:
    """Return what the probe of assignment 2, unrepaired, says about a checked `chain`."""
    import torch

    parts: list[torch.nn.Module] = []
    for name, *numbers in layers:
        if name == "conv":
            kernel, stride, weight = (
                [*numbers, 1, 1.0] if len(numbers) == 1 else [*numbers, 1.0][:3]
            )
            conv = torch.nn.Conv2d(1, 1, kernel, stride, bias=False)
            torch.nn.init.constant_(conv.weight, weight)
            parts.append(conv)
        elif name == "max":
            parts.append(torch.nn.MaxPool2d(*numbers))
        else:
            parts.append(torch.nn.ReLU() if name == "relu" else torch.nn.BatchNorm2d(1))
    image = torch.ones(1, 1, size, size, requires_grad=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on maps so small, threads wait more than they work: ten times slower
    try:
        output = torch.nn.Sequential(*parts)(image)
        unit = output[0, :, output.shape[2] // 2, output.shape[3] // 2]
        (slope,) = torch.autograd.grad(unit.sum(), image)
    except (RuntimeError, ValueError) as error:  # an image that is too small for these layers
        raise AssertionError(f"On an image of {size} pixels torch says: {error}") from None
    finally:
        torch.set_num_threads(threads)
    seen = (slope[0, 0] != 0).nonzero()
    if not len(seen):
        return (0, 0)
    rows, columns = (seen.amax(dim=0) - seen.amin(dim=0) + 1).tolist()
    return rows, columns


def design(what: str, layers: object) -> list[Any]:
    """Return `layers` as assignment 3 asks for a network, or say in words what it is not."""
    layers = plain(layers)
    if layers is ...:
        raise AssertionError(f"{what} is still the three dots of the empty notebook.")
    if not isinstance(layers, (list, tuple)) or not 1 <= len(layers) <= 100:
        raise AssertionError(f"{what} is {told(layers)}. A list of 1 to 100 layers is asked for.")
    for i, layer in enumerate(layers):
        here = f"{what}[{i}] is {told(layer)}."
        if not listed(layer) or len(layer) != 4 or not same(layer[0], "conv"):
            raise AssertionError(f'{here} A layer is ("conv", kernel, stride, channels).')
        kernel, _, channels = layer[1:]
        if not all(whole(n) and 1 <= n <= 10_000 for n in layer[1:]) or kernel % 2 == 0:
            raise AssertionError(f"{here} Kernels are odd, and all three numbers whole.")
        if channels < 16:
            raise AssertionError(f"{here} At least 16 channels are asked for.")
    if layers[-1][3] != 64:
        raise AssertionError(f"{what} ends with {layers[-1][3]} channels; 64 are asked for.")
    return [tuple(layer) for layer in layers]
