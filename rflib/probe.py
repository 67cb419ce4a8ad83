"""The gradient probe: the receptive field of a unit in any torch module, measured.

A pixel influences a unit if the unit's gradient at that pixel is not zero.  The converse holds only
if nothing cancels, switches off, over- or underflows.  So the probe copies the model, makes every
weight positive, every operator linear (`rflib._linear`), and goes backward twice in float64: once
with gradients of 0 and 1 only, which gives the exact set at any depth, and once plainly, which
gives the magnitudes.  Idea: Luo et al. 2016 and the numerical probes that followed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import prod
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, overload

import torch
from torch import Tensor, nn

from rflib import _rules  # noqa: F401 (registers a rule for each operator)
from rflib._copy import (
    InputSizeError,
    Watched,
    apart,
    centre,
    check_arguments,
    checked_size,
    checked_unit,
    first_convolution,
    positive_copy,
    times,
)
from rflib._linear import ProbeError, Twin, Whole, forget_values
from rflib.layers import switch
from rflib.regions import EMPTY, Region

if TYPE_CHECKING:
    from rflib.strips import Strips

__all__ = ["Clipped", "Ends", "Probe", "ProbeError", "probe"]

SMALLEST = 32  # the first input tried, along each axis, when no size is given
LARGEST = 2**22  # positions of the largest: 2048 x 2048


class Ends(NamedTuple):
    """Whether the field may go on before the first and after the last pixel of one axis."""

    before: bool
    after: bool

    def __bool__(self) -> bool:
        return self.before or self.after


class Clipped(tuple[Ends, ...]):
    """One `Ends` per axis; true if any border clips."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return any(self)


@dataclass(frozen=True, eq=False, repr=False)
class Probe:
    """What one unit reads, and how strongly; lengths in input pixels, one entry per input axis.

    region : first and last pixel (a hull: `mask` shows holes); Region(0, -1) if it reads none.
    mask : bool tensor over the input's axes, the exact set.
    gradient : float64 tensor over the input's axes, the sum over channels of |gradient| in the
        positive linear twin of the model, for all output channels of the unit together.
    clipped : per axis (before, after): the field touches that border or hangs over it, so a larger
        input may show a larger field.  `if r.clipped:` asks for any of them.
    unit, units : the unit probed, and how many there are along each axis of the output.
    input_size : (1, channels, *axes).
    layer : the submodule whose output was probed, "" for the model's own.
    calls : which of its calls, and how many there were.
    global_ : operators on the way that read a whole map however large it is, with their places.
    underflow : gradients left the range of float64 somewhere inside the field; `mask` is exact all
        the same.
    """

    region: tuple[Region, ...]
    mask: Tensor
    gradient: Tensor
    clipped: Clipped
    unit: tuple[int, ...]
    units: tuple[int, ...]
    input_size: tuple[int, ...]
    layer: str
    calls: tuple[int, int]
    global_: tuple[str, ...]
    underflow: bool

    @property
    def size(self) -> tuple[int, ...]:
        """The extent of the field along each axis, in pixels; 0 if the unit reads none."""
        return tuple(region.size for region in self.region)

    def __str__(self) -> str:
        rows = [
            f"  axis {axis}: {region.size} pixels, {region.first} to {region.last}"
            for axis, region in enumerate(self.region)
            if not region.empty
        ]
        notes = [f"  {note}" for note in self._notes()]
        return "\n".join([subject("Receptive field", self), *rows, *notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [
            (axis, region.size, region.first, region.last, _sides(ends) if ends else "no")
            for axis, (region, ends) in enumerate(zip(self.region, self.clipped, strict=True))
        ]
        heads = ("axis", "size", "first", "last", "clipped")
        return table(subject("Receptive field", self), heads, rows, self._notes())

    def _notes(self) -> Iterator[str]:
        if self.region[0].empty:
            yield "reads no pixel of the input: only padding or constants"
        even = [n for n in self.units if n % 2 == 0]
        if even and self.unit == centre(self.units):
            yield "an even number of units has no middle: this is the one after it"
        if self.global_:
            names = ", ".join(self.global_[:3]) + (", ..." if self.global_[3:] else "")
            yield f"global, because a whole map is read, however large, by {names}"
        elif self.clipped:
            sides = "; ".join(f"axis {a} {_sides(e)}" for a, e in enumerate(self.clipped) if e)
            yield (
                f"CLIPPED by the input's border ({sides}), so the field may be larger:\n"
                f"  give a larger input_size or none, or a unit further inside"
            )
        if self.underflow:
            yield "some gradients are too small (or large) for float64; the mask is exact"


@overload
def probe(
    model: nn.Module,
    input_size: Sequence[int] | None = None,
    unit: int | Sequence[int] | None = None,
    layer: str | None = None,
    seed: int = 0,
    strips: Literal[False] = False,
) -> Probe: ...
@overload
def probe(
    model: nn.Module,
    input_size: Sequence[int] | None = None,
    unit: int | Sequence[int] | None = None,
    layer: str | None = None,
    seed: int = 0,
    *,
    strips: Literal[True],
) -> Strips: ...
def probe(
    model: nn.Module,
    input_size: Sequence[int] | None = None,
    unit: int | Sequence[int] | None = None,
    layer: str | None = None,
    seed: int = 0,
    strips: bool = False,
) -> Probe | Strips:
    """Measure which input pixels one unit of a torch module depends on.

    The model is copied and never changed; its hooks are not run. In the copy all parameters are
    positive and random (buffers keep their zeros, as the mask of a masked convolution needs),
    biases are left out, every operator is linear: max-pool as average-pool, activations as
    identity, dropout and batch-norm off. Instance, group and layer norm, squeeze-and-excitation
    and attention stay what they are: operators that read a whole map. Whatever can change the
    unit's value counts, also where it has no derivative (round, argmax, detach).

    Parameters
    ----------
    model : any nn.Module that is called with one tensor.
    input_size : (1, channels, *axes) with one to three axes, in pixels.  None: taken from the first
        convolution, and grown until no border clips the field of the unit.
    unit : index of the unit along each axis of the output (all its channels together), from 0;
        None: the centre, n // 2.  An output (1, channels) without axes has one unit, ().
    layer : path of the submodule whose output is probed, as in `model.named_modules()`; None: the
        model's own output.  Of several calls the last, or "name@2" for the second.
    seed : of the random weights.
    strips : True: measure the extents alone, along each axis on an input that is as narrow along
        the others as `rflib.trace` proves to be enough. A large network then costs a fraction.

    Returns
    -------
    Probe; with strips `Strips`, which has no mask and no gradient in the plane.

    Raises
    ------
    TypeError, ValueError : naming the argument, its value and what is allowed.
    ProbeError : the model takes decisions by numbers, or uses an operator that is not known.

    Examples
    --------
    >>> from torch import nn
    >>> r = probe(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3)))
    >>> r.size, bool(r.clipped)
    ((8, 8), False)
    >>> probe(nn.Conv1d(1, 1, 3, padding=2, dilation=2), (1, 1, 9), unit=0)
    Receptive field of unit 0 of 9, input 1 x 9
      axis 0: 3 pixels, 0 to 2
      CLIPPED by the input's border (axis 0 before), so the field may be larger:
      give a larger input_size or none, or a unit further inside
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile has wrapped
    check_arguments(model, layer, seed)
    size = None if input_size is None else checked_size(input_size)
    if switch("strips", strips):
        from rflib.strips import on_strips

        with apart(torch.float32):  # enough for zeros and ones, and half the cost
            return on_strips(model, size, unit, layer or "", seed)
    with apart():
        study = _Study(model, layer or "", seed)
        found = study.grown(unit) if size is None else study.run(size).support(unit)
        return found.result()


class _Study(Watched):
    """The positive copy of the model, ready to be run on inputs of several sizes."""

    def __init__(self, model: nn.Module, layer: str, seed: int) -> None:
        super().__init__(positive_copy(model, seed), layer)

    def run(self, size: Sequence[int]) -> _Pass:
        """One forward pass of the twin."""
        twin = Twin(len(size) - 2, self.path)
        image = torch.ones(*size, requires_grad=True)
        with twin, forget_values():
            self.forward(image)
        output = self.output()
        if not output.requires_grad:
            raise ProbeError(f"{self.what} does not depend on the input")
        return _Pass(self, twin, image, output)

    def grown(self, unit: Any) -> _Pass:
        """Double the input until no border clips the field. A unit's own corner stays a corner."""
        channels, axes = first_convolution(self.model)
        size = [SMALLEST] * axes
        last: _Pass | None = None
        while prod(size) <= LARGEST:
            try:
                done = self.run((1, channels, *size))
                done.support(unit)
            except InputSizeError as error:
                if max(size) >= 512:
                    raise ValueError(
                        f"{error}. Nor does any smaller one do: give input_size"
                    ) from None
                size = [2 * n for n in size]
                continue
            open_ = [ends.after or (ends.before and unit is None) for ends in done.clipped]
            if not any(open_):
                return done
            names = done.growing(last.twin.wholes) if last else ()
            if names:
                raise ValueError(
                    f"input_size=None: the field grows with the input, since a whole map is read "
                    f"by {', '.join(names)}. Give an input_size, such as {done.size}, or "
                    f"with layer= a submodule before it"
                )
            last = done
            size = [2 * n if more else n for n, more in zip(size, open_, strict=True)]
        raise ValueError(
            f"input_size=None: at {times(last.size[1:] if last else size)} the border still clips "
            f"the field, and the next step exceeds {LARGEST} positions. Give an input_size, or a "
            f"submodule with layer="
        )


class _Pass:
    """One forward pass, and what going backward from a unit tells."""

    unit: tuple[int, ...]
    mask: Tensor
    region: tuple[Region, ...]
    clipped: Clipped

    def __init__(self, study: _Study, twin: Twin, image: Tensor, output: Tensor) -> None:
        self.study, self.twin, self.image, self.output = study, twin, image, output
        self.size = tuple(image.shape)
        self.units = tuple(output.shape[2:])

    def backward(self) -> tuple[Tensor, Tensor]:
        """The gradients of the unit, all its channels together: at the input and at `edges`."""
        start = torch.zeros_like(self.output)
        units: tuple[Any, ...] = (0, slice(None), *self.unit)
        start[units] = 1
        image, edges = self.study.gradients(
            self.output, [self.image, self.twin.edges], start, again=True
        )
        return image[0], edges

    def support(self, unit: Any) -> _Pass:
        """Go backward in zeros and ones: the exact set, and whether a border clips it."""
        self.unit = checked_unit(unit, self.units)
        self.twin.binary = True
        gradient, edges = self.backward()
        self.twin.binary = False
        self.mask = (gradient != 0).any(dim=0)
        axes = range(self.mask.dim())
        self.region = tuple(_hull(self.mask, axis) for axis in axes)
        self.clipped = Clipped(
            Ends(
                bool(edges[axis, 0]) or (not region.empty and region.first == 0),
                bool(edges[axis, 1]) or region.last == self.mask.shape[axis] - 1,
            )
            for axis, region in zip(axes, self.region, strict=True)
        )
        return self

    def filled(self) -> list[int]:
        """The axes along which the field is as large as the input."""
        sizes = zip(self.region, self.mask.shape, strict=True)
        return [axis for axis, (region, n) in enumerate(sizes) if region.size == n]

    def growing(self, wholes: Sequence[Whole]) -> tuple[str, ...]:
        """Operators on the unit's way that merged another number of positions on another size."""
        if not self.filled() or len(wholes) != len(self.twin.wholes):
            return ()
        pairs = zip(self.twin.wholes, wholes, strict=True)
        names = (a.label for a, b in pairs if (a.reached or b.reached) and a.merged != b.merged)
        return tuple(dict.fromkeys(names))

    def global_operators(self) -> tuple[str, ...]:
        """Told apart from a field that is merely large by a second forward pass, twice as long."""
        reached = tuple(dict.fromkeys(note.label for note in self.twin.wholes if note.reached))
        if not self.filled() or not reached:
            return ()
        axis = 2 + self.filled()[0]
        other = [2 * n if dim == axis else n for dim, n in enumerate(self.size)]
        try:
            return self.growing(self.study.run(other).twin.wholes)
        except ValueError:  # a model for one size of input only: then these are all we know
            return reached

    def result(self) -> Probe:
        gradient = self.backward()[0].abs().sum(dim=0) * self.mask
        lost = self.mask & (gradient == 0) | ~gradient.isfinite()
        return Probe(
            region=self.region,
            mask=self.mask,
            gradient=gradient,
            clipped=self.clipped,
            unit=self.unit,
            units=self.units,
            input_size=self.size,
            layer=self.study.layer,
            calls=self.study.calls,
            global_=self.global_operators(),
            underflow=bool(lost.any()),
        )


def _hull(mask: Tensor, axis: int) -> Region:
    read = (
        mask.movedim(axis, 0).flatten(1).any(dim=1).nonzero() if mask.dim() > 1 else mask.nonzero()
    )
    return Region(int(read[0]), int(read[-1])) if len(read) else EMPTY


def subject(kind: str, found: Any) -> str:
    """Of which unit, layer and input a result speaks."""
    unit = f"unit {_numbers(found.unit)} of {times(found.units)}" if found.units else "the unit"
    call = f" (call {found.calls[0]} of {found.calls[1]})" if found.calls[1] > 1 else ""
    layer = f" of layer {found.layer!r}{call}" if found.layer else ""
    return f"{kind} of {unit}{layer}, input {times(found.input_size[1:])}"


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]], notes: Iterable[str]
) -> str:
    """HTML; the first column names the rows."""
    columns = "".join(f"<th scope='col'>{escape(head)}</th>" for head in heads)
    body = "".join(
        f"<tr><th scope='row'>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        for name, *cells in rows
    )
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{columns}</tr></thead>"
        f"<tbody>{body}</tbody></table>{below}"
    )


def _numbers(unit: Sequence[int]) -> str:
    return str(unit[0]) if len(unit) == 1 else str(tuple(unit))


def _sides(ends: Ends) -> str:
    return " and ".join(name for name, hit in zip(ends._fields, ends, strict=True) if hit)
