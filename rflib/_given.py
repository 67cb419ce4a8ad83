"""What the command is given: layers written as text, and models named by where they are made."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from rflib.layers import Layer

if TYPE_CHECKING:
    from torch import nn

__all__ = ["UsageError", "layers_of", "made", "numbers", "ours"]

DIGITS = 9  # of a number in a spec: far more than any network has
SPEC = "[t]KERNEL[/STRIDE][pPADDING][dDILATION], such as 3, 7/2p3, t4/2p1 or 3x5/1x2"
TARGET = "PACKAGE.MODULE:FACTORY or model.py:FACTORY, with literal arguments in () if it takes any"


class UsageError(Exception):
    """The command line cannot be read."""


# Layers -----------------------------------------------------------------------------------------

_N = r"[0-9]+(?:x[0-9]+)*"
_LAYER = re.compile(
    rf"(?P<t>t?)(?P<kernel>{_N})(?:/(?P<stride>{_N}))?"
    rf"(?:p(?P<padding>{_N}|same))?(?:d(?P<dilation>{_N}))?"
)


def layers_of(spec: str) -> list[Layer]:
    """Return the layers of a spec; UsageError quotes the piece that is wrong.

    >>> layers_of("7/2p3, 3x5 t4/2d2")
    [Layer(7, stride=2, padding=3), Layer((3, 5)), Layer(4, stride=2, dilation=2, transposed=True)]
    """
    pieces = re.split(r"[\s,]+", spec.strip(", \t\r\n"))
    if pieces == [""]:
        raise UsageError(f"--layers: {spec!r} names no layer; write each as {SPEC}")
    layers = [_layer(piece) for piece in pieces]
    perhaps = [(layer.axes, piece) for layer, piece in zip(layers, pieces, strict=True)]
    axes = [(count, piece) for count, piece in perhaps if count is not None]
    for count, piece in axes:
        if count != axes[0][0]:
            raise UsageError(
                f"--layers: {axes[0][1]!r} has {axes[0][0]} axes and {piece!r} has {count}; give "
                f"every layer the same number, or one number for all axes"
            )
    return layers


def _layer(piece: str) -> Layer:
    found = _LAYER.match(piece)
    if found is None or found.end() < len(piece):
        rest = piece[found.end() :] if found else piece
        where = "" if rest == piece else f" cannot be read from {rest!r} on;"
        raise UsageError(f"--layers: {piece!r}{where or ' is not a layer;'} write {SPEC}")
    try:
        given = {
            name: text if text == "same" else _per_axis(text)
            for name, text in found.groupdict().items()
            if text and name != "t"
        }
        return Layer(**given, transposed=bool(found["t"]))  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise UsageError(f"--layers: {piece!r}: {error}") from None


def _per_axis(text: str) -> int | tuple[int, ...]:
    if any(len(number) > DIGITS for number in text.split("x")):
        raise ValueError(f"a number must have at most {DIGITS} digits")
    entries = tuple(int(number) for number in text.split("x"))
    return entries[0] if len(entries) == 1 else entries


def numbers(option: str, text: str) -> tuple[int, ...]:
    """Return the whole numbers of ``1,3,224,224``; UsageError for anything else.

    >>> numbers("--unit", "3, 4")
    (3, 4)
    """
    pieces = [piece.strip() for piece in text.split(",")]
    for piece in pieces:
        if not re.fullmatch(rf"[0-9]{{1,{DIGITS}}}", piece):
            raise UsageError(
                f"{option}: {piece!r} in {text!r} is not a whole number from 0; write numbers with "
                f"commas between"
            )
    return tuple(map(int, pieces))


# Models -----------------------------------------------------------------------------------------

_TARGET = re.compile(r"(?P<home>.+?):(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)(?P<call>\(.*\))?", re.S)


@contextmanager
def ours() -> Iterator[None]:
    """While other people's code runs: the current folder is searched, and stdout stays ours."""
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.path[:] = before


def made(target: str) -> nn.Module:
    """Import, call, return the model.  This runs the module's code.

    Raises UsageError where the target cannot be read, ValueError or TypeError in words where it
    gives no model.
    """
    match = _TARGET.fullmatch(target)
    if match is None:
        raise UsageError(f"{target!r} names no model; write {TARGET}")
    given = _arguments(target, match["call"])
    home, name = match["home"], match["name"]
    value: Any = _imported(home)
    for part in name.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            near = get_close_matches(part, dir(value), 5, 0.4)
            hint = f"; near it: {', '.join(map(repr, near))}" if near else ""
            raise ValueError(f"{home!r} has no {name!r}{hint}") from None
    model = _called(target, value, given)
    from torch import nn

    if not isinstance(model, nn.Module):
        what = type(model).__name__
        raise TypeError(f"{target!r} gives something of type {what}, not a torch.nn.Module")
    return model


_Arguments = tuple[list[Any], dict[str, Any]]


def _arguments(target: str, call: str | None) -> _Arguments | None:
    """The literals between the parentheses; nothing is evaluated but literals."""
    if call is None:
        return None
    try:
        tree = ast.parse(f"f{call}", mode="eval").body
        if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
            raise ValueError
        named = {str(k.arg): ast.literal_eval(k.value) for k in tree.keywords if k.arg}
        if len(named) < len(tree.keywords):
            raise ValueError
        return [ast.literal_eval(argument) for argument in tree.args], named
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise UsageError(
            f"{target!r}: {call} must hold literals, such as (18) or ('deep', classes=10): "
            f"numbers, strings, True, False, None, and tuples, lists, dicts and sets of them"
        ) from None


def _imported(home: str) -> ModuleType:
    is_file = home.endswith(".py") or "/" in home or "\\" in home
    if is_file and not Path(home).is_file():
        raise ValueError(f"{home!r} is no file")
    if not is_file and not all(part.isidentifier() for part in home.split(".")):
        raise UsageError(f"{home!r} is neither PACKAGE.MODULE nor a file; write {TARGET}")
    try:
        return _run_file(Path(home)) if is_file else importlib.import_module(home)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{home}.".startswith(f"{error.name}."):
            raise ValueError(
                f"no module named {error.name!r} is installed or in this folder (a file is "
                f"written with its suffix, model.py:FACTORY)"
            ) from error
        raise ValueError(f"importing {home!r} fails: {told(error)}") from error
    except (Exception, SystemExit) as error:
        raise ValueError(f"importing {home!r} fails: {told(error)}") from error


def _run_file(path: Path) -> ModuleType:
    """Import a file as if it lay on the path: what lies beside it can be imported too."""
    name = f"_receptive_field_{path.stem}"  # not a name that something else may have
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{str(path)!r} is no Python file")
    sys.path.insert(0, str(path.resolve().parent))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _called(target: str, value: Any, given: _Arguments | None) -> Any:
    from torch import nn

    if isinstance(value, nn.Module):
        if given is not None:
            raise ValueError(f"{target!r}: it is a module already; leave its arguments away")
        return value
    if not callable(value):
        what = type(value).__name__
        raise TypeError(
            f"{target!r} has the type {what}: neither a torch.nn.Module nor what makes one"
        )
    listed, named = given or ([], {})
    try:
        return value(*listed, **named)
    except (Exception, SystemExit) as error:
        hint = ""
        if given is None and isinstance(error, TypeError):
            hint = "; its arguments, as literals, go after it: FACTORY(18)"
        raise ValueError(f"{target!r} fails: {told(error)}{hint}") from error


def told(error: BaseException) -> str:
    """An error of somebody's code, by its type and its words."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")
