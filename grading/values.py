"""Plain values over the pipe: written and read on the trusted side.

A value is a JSON array whose first entry names its type, so that nothing is guessed from a number's
look:

    ["n"]  ["e"] (...)  ["b", true]  ["i", "-12"]  ["f", "0x1.8p+1"]  ["s", "text"]  ["F", "1", "3"]
    ["l", [value, ...]]  ["t", [value, ...]]  ["d", [[key, value], ...]]
    ["h", 7, "Net", false]    an object that stays in the worker: number, type's name, callable

What comes back was written by the student's process. `decode` trusts nothing: it takes these forms
and no other, with bounds on depth and digits, and makes objects of exactly these types, whose
methods are Python's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from grading.limits import DEPTH, DIGITS, ENTRIES

_INT = re.compile(rf"-?[0-9]{{1,{DIGITS}}}")
_FLOAT = re.compile(r"-?0x[01]\.[0-9a-f]{1,13}p[+-][0-9]{1,4}|-?0x0\.0p\+0|nan|-?inf")


class StudentError(Exception):
    """What went wrong in the student's code.

    `public` leaves out what their code may have put into words.
    """

    def __init__(self, message: str, public: str | None = None) -> None:
        super().__init__(message)
        self.public = message if public is None else public


class WireError(Exception):
    """What came over the pipe is none of the forms above."""


@dataclass(frozen=True)
class Handle:
    """An object that stays with the student.

    It can be passed back to their functions, nothing else.
    """

    number: int
    type_name: str
    worker: int
    callable: bool = False

    def __repr__(self) -> str:
        return f"<an object of type {self.type_name}>"


def encode(value: object, worker: int, depth: int = 0) -> list[Any]:
    """A test's argument for the pipe. Other types than the plain ones are a mistake of the test."""
    if depth > DEPTH:
        raise TypeError(f"an argument is nested more than {DEPTH} deep")
    if value is None:
        return ["n"]
    if value is ...:  # a student's function may return it, and a test pass it on
        return ["e"]
    kind = type(value)
    if kind is bool:
        return ["b", value]
    if kind is int:
        return ["i", str(value)]
    if isinstance(value, float):
        return ["f", float.hex(value)]
    if isinstance(value, str):
        return ["s", str(value)]
    if isinstance(value, Fraction):
        return ["F", str(value.numerator), str(value.denominator)]
    if isinstance(value, list):
        return ["l", [encode(v, worker, depth + 1) for v in value]]
    if isinstance(value, tuple):
        return ["t", [encode(v, worker, depth + 1) for v in value]]
    if isinstance(value, dict):
        pairs = value.items()
        return [
            "d",
            [[encode(k, worker, depth + 1), encode(v, worker, depth + 1)] for k, v in pairs],
        ]
    handle = getattr(value, "handle", value)  # a function of the student goes back as an object
    if isinstance(handle, Handle):
        if handle.worker != worker:
            raise StudentError(
                "the object was lost when a later call ended the process that held it"
            )
        return ["h", handle.number]
    raise TypeError(f"a test passes {kind.__name__}; plain values and handles can be passed")


def decode(wire: object, worker: int, depth: int = 0) -> object:
    """The value that a student's process wrote; WireError where it is not one."""
    if depth > DEPTH:
        raise WireError(f"nested more than {DEPTH} deep")
    if type(wire) is not list or not wire or type(wire[0]) is not str:
        raise WireError("not a value")
    tag, rest = wire[0], wire[1:]
    match tag, rest:
        case "n", []:
            return None
        case "e", []:
            return ...
        case "b", [bool(flag)]:
            return flag
        case "i", [str(digits)]:
            return _int(digits)
        case "f", [str(text)] if _FLOAT.fullmatch(text):
            return _float(text)
        case "s", [str(text)]:
            return _clean(text)
        case "F", [str(top), str(bottom)]:
            below = _int(bottom)
            if below <= 0:
                raise WireError("a fraction's denominator is not positive")
            return Fraction(_int(top), below)
        case "l", [list(items)]:
            return [decode(item, worker, depth + 1) for item in items]
        case "t", [list(items)]:
            return tuple(decode(item, worker, depth + 1) for item in items)
        case "d", [list(pairs)]:
            return dict(_pairs(pairs, worker, depth))
        case "h", [int(number), str(name), bool(callable_)] if 0 <= number < 1 << 32:
            return Handle(number, _clean(name)[:80], worker, callable_)
    raise WireError("not a value")


def _pairs(pairs: list[object], worker: int, depth: int) -> Iterator[tuple[object, object]]:
    if len(pairs) > ENTRIES:  # keys can be chosen so that each is compared with all before it
        raise WireError(f"a dict with more than {ENTRIES} entries")
    seen: set[object] = set()
    for pair in pairs:
        if type(pair) is not list or len(pair) != 2:
            raise WireError("a dict's entry is not a pair")
        key = decode(pair[0], worker, depth + 1)
        try:
            repeated = key in seen
        except TypeError as error:  # a list as a key, inside a tuple perhaps
            raise WireError("a dict's key cannot be one") from error
        if repeated:
            raise WireError("a dict has one key twice")
        seen.add(key)
        yield key, decode(pair[1], worker, depth + 1)


def _float(text: str) -> float:
    try:
        return float.fromhex(text)
    except OverflowError as error:
        raise WireError("a float beyond all floats") from error


def _int(digits: str) -> int:
    if not _INT.fullmatch(digits):
        raise WireError(f"not an int of at most {DIGITS} digits")
    return int(digits)


def _clean(text: str) -> str:
    """Half a surrogate pair is no character and cannot be written to a file: show it as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def parse(frame: bytes) -> dict[str, Any]:
    """One answer of a worker: a JSON object, read strictly."""

    def no_number(text: str) -> object:
        raise WireError(f"the number {text[:20]}")

    def small(text: str) -> int:
        if len(text) > 10:
            raise WireError("a number with many digits outside of a value")
        return int(text)

    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({key for key, _ in pairs}) != len(pairs):
            raise WireError("a key twice")
        return dict(pairs)

    try:
        answer = json.loads(
            frame.decode("utf-8"),
            object_pairs_hook=unique,
            parse_int=small,
            parse_float=no_number,
            parse_constant=no_number,
        )
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise WireError(f"not JSON ({type(error).__name__})") from error
    if type(answer) is not dict:
        raise WireError("not a JSON object")
    return answer


def text_of(answer: dict[str, Any], key: str, longest: int = 2_000) -> str:
    """A string of an answer, without half characters, cut where it is long."""
    text = answer.get(key)
    if type(text) is not str:
        raise WireError(f"{key!r} is not a string")
    text = _clean(text[: longest + 1])
    return text if len(text) <= longest else text[:longest] + " ..."


def parse_error(answer: dict[str, Any]) -> tuple[str, str]:
    """What an exception of the student said, with its type and its lines; and the type alone."""
    error = answer.get("error")
    if type(error) is not dict or set(error) != {"type", "words", "where"}:
        raise WireError("not an error")
    kind, words, where = (text_of(error, key) for key in ("type", "words", "where"))
    return "\n".join(filter(None, [f"{kind}: {words}" if words else kind, where])), kind
