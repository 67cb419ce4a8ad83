"""The gradient probe: the receptive field of a unit in any torch module, measured.

A pixel influences a unit if the unit's gradient at that pixel is not zero.  The converse holds only
if nothing cancels, switches off, over- or underflows.  So the probe copies the model, makes every
weight positive, every operator linear (`rflib._linear`), and goes backward twice in float64: once
with gradients of 0 and 1 only, which gives the exact set at any depth, and once plainly, which
gives the magnitudes.  On large inputs it measures the extent on thin strips (`rflib._strips`).
Idea: Luo et al. 2016 and the numerical probes that followed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from math import prod
from typing import Any, NamedTuple

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
    times,
    untouched,
    weigh,
    wiring_copy,
)
from rflib._linear import ProbeError, Twin, Whole, forget_values
from rflib._strips import Prover, Strip
from rflib.regions import EMPTY, Region

__all__ = ["Clipped", "Ends", "Probe", "ProbeError", "probe"]

SMALLEST = 32  # the first input tried, along each axis, when no size is given
LARGEST = 2**22  # positions of the largest: 2048 x 2048
PLAIN = 2**12  # positions up to which the whole input costs no more than a proof for strips


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


class Plane:
    """Mask, gradient and underflow over the whole input, measured when first asked for."""

    def __init__(self, measure: Callable[[], tuple[Tensor, Tensor, bool]]) -> None:
        self._measure: Callable[[], tuple[Tensor, Tensor, bool]] | None = measure
        self._found: tuple[Tensor, Tensor, bool] | None = None

    @property
    def known(self) -> bool:
        return self._found is not None

    def __call__(self) -> tuple[Tensor, Tensor, bool]:
        if self._found is None:
            assert self._measure is not None
            self._found = self._measure()
            self._measure = None  # and with it the copy of the model
        return self._found

    def __getstate__(self) -> dict[str, Any]:
        """To be pickled and copied without the model."""
        return {"_found": self(), "_measure": None}


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
    strips : the sizes of the thin inputs, one per axis, on which region and clipped were measured;
        () if that was done on the whole input.  Then `mask`, `gradient` and `underflow` are
        measured on the whole input when first asked for, which takes its time and memory.
    """

    region: tuple[Region, ...]
    clipped: Clipped
    unit: tuple[int, ...]
    units: tuple[int, ...]
    input_size: tuple[int, ...]
    layer: str
    calls: tuple[int, int]
    global_: tuple[str, ...]
    strips: tuple[tuple[int, ...], ...]
    _plane: Plane

    @property
    def mask(self) -> Tensor:
        return self._plane()[0]

    @property
    def gradient(self) -> Tensor:
        return self._plane()[1]

    @property
    def underflow(self) -> bool:
        return self._plane()[2]

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
                f"CLIPPED by the input's border ({sides}):\n"
                "  the field may be larger; give a larger input_size or none, "
                "or a unit further inside"
            )
        if self._plane.known and self.underflow:
            yield "some gradients are too small (or large) for float64; the mask is exact"


def probe(
    model: nn.Module,
    input_size: Sequence[int] | None = None,
    unit: int | Sequence[int] | None = None,
    layer: str | None = None,
    seed: int = 0,
) -> Probe:
    """Measure which input pixels one unit of a torch module depends on.

    The model is copied and never changed; its hooks are not run. In the copy all parameters are
    positive and random (buffers keep their zeros, as the mask of a masked convolution needs),
    biases are left out, every operator is linear: max-pool as average-pool, activations as
    identity, dropout and batch-norm off. Instance, group and layer norm, squeeze-and-excitation
    and attention stay what they are: operators that read a whole map. Whatever can change the
    unit's value counts, also where it has no derivative (round, argmax, detach).

    Rows depend on rows and columns on columns. So on inputs of more than 64 x 64 positions the
    extent is measured on one thin strip per axis, where `rflib.trace` proves that the strip's unit
    reads the same along that axis; elsewhere on the whole input, with the same answer.

    Parameters
    ----------
    model : any nn.Module that is called with one tensor.
    input_size : (1, channels, *axes) with one to three axes, in pixels.  None: taken from the first
        convolution, and grown until no border clips the field of the unit.
    unit : index of the unit along each axis of the output (all its channels together), from 0;
        one number: the same along every axis; None: the centre, n // 2.  An output (1, channels)
        without axes has one unit, ().
    layer : path of the submodule whose output is probed, as in `model.named_modules()`; None: the
        model's own output.  Of several calls the last, or "name@2" for the second.
    seed : of the random weights.

    Returns
    -------
    Probe

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
      CLIPPED by the input's border (axis 0 before):
      the field may be larger; give a larger input_size or none, or a unit further inside
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile has wrapped
    check_arguments(model, layer, seed)
    size = None if input_size is None else checked_size(input_size)
    with apart(), untouched(model):
        study = _Study(model, layer or "", seed)
        found = study.grown(unit) if size is None else study.support(size, unit)
        return found.result()


class _Study(Watched):
    """The positive copy of the model, ready to be run on inputs of several sizes."""

    def __init__(self, model: nn.Module, layer: str, seed: int) -> None:
        super().__init__(wiring_copy(model), layer)
        self.seed, self.random = seed, False
        self.given: tuple[nn.Module, str] | None = (model, layer)
        self.prover: Prover | None = None

    def support(self, size: tuple[int, ...], unit: Any) -> _Pass | _Strips:
        """The extent of the field: on strips where that is cheaper and proven to be the same."""
        if self.given and len(size) > 3 and prod(size[2:]) > PLAIN:
            self.prover = self.prover or Prover(*self.given)
            strips = self.prover.strips(size, unit)
            if strips:
                done = [self.confirmed(strip) for strip in strips]
                if all(done):
                    place = tuple(strip.unit[strip.axis] for strip in strips)
                    return _Strips(self, size, place, [one for one in done if one])
        return self.run(size).support(unit)

    def confirmed(self, strip: Strip) -> _Pass | None:
        """The strip's pass, if it found what the trace did, and no zeros that a trace cannot see.

        All weights are one: the extent does not hang on them, and so they take no memory.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # so little work: threads would wait for one another longer
        try:
            done = self.run(strip.size, random=False).support(strip.unit)
        except (InputSizeError, ProbeError):
            return None  # what is wrong, if anything, the whole input will tell
        finally:
            torch.set_num_threads(threads)
        same = done.units == strip.units and done.region[strip.axis] == strip.region
        return done if same and not done.twin.zeros else None

    def plane(self, size: tuple[int, ...], unit: tuple[int, ...]) -> tuple[Tensor, Tensor, bool]:
        """`_Pass.plane` of all of the input, whatever strips have shown of it."""
        with apart():
            return self.run(size).support(unit).plane()

    def run(self, size: Sequence[int], random: bool = True) -> _Pass:
        """One forward pass of the twin, with random weights or with ones."""
        if random != self.random:
            weigh(self.model, self.seed if random else None)
            self.random = random
        twin = Twin(len(size) - 2, self.path)
        image = torch.ones(*size, dtype=torch.float64, requires_grad=True)
        with twin, forget_values():
            self.forward(image)
        output = self.output()
        if not output.requires_grad:
            raise ProbeError(f"{self.what} does not depend on the input")
        return _Pass(self, twin, image, output)

    def grown(self, unit: Any) -> _Pass | _Strips:
        """Double the input until no border clips the field. A unit's own corner stays a corner."""
        channels, axes = first_convolution(self.model)
        size = [SMALLEST] * axes
        last: _Pass | _Strips | None = None
        while prod(size) <= LARGEST:
            try:
                done = self.support((1, channels, *size), unit)
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
            names = done.growing(last.wholes) if last else ()
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

    @property
    def wholes(self) -> Sequence[Whole]:
        return self.twin.wholes

    def plane(self) -> tuple[Tensor, Tensor, bool]:
        """The mask, the magnitudes, and whether some of these are lost."""
        gradient = self.backward()[0].abs().sum(dim=0) * self.mask
        lost = self.mask & (gradient == 0) | ~gradient.isfinite()
        return self.mask, gradient, bool(lost.any())

    def result(self) -> Probe:
        plane = Plane(self.plane)
        plane()
        return Probe(
            region=self.region,
            clipped=self.clipped,
            unit=self.unit,
            units=self.units,
            input_size=self.size,
            layer=self.study.layer,
            calls=self.study.calls,
            global_=self.global_operators(),
            strips=(),
            _plane=plane,
        )


class _Strips:
    """Passes over thin inputs, one per axis, in place of one over all of it."""

    wholes: Sequence[Whole] = ()

    def __init__(
        self, study: _Study, size: tuple[int, ...], unit: tuple[int, ...], passes: list[_Pass]
    ) -> None:
        self.study, self.size, self.unit = study, size, unit
        self.strips = tuple(done.size for done in passes)
        self.units = tuple(done.units[axis] for axis, done in enumerate(passes))
        self.region = tuple(done.region[axis] for axis, done in enumerate(passes))
        self.clipped = Clipped(done.clipped[axis] for axis, done in enumerate(passes))
        self.calls = study.calls

    def growing(self, wholes: Sequence[Whole]) -> tuple[str, ...]:
        return ()  # that no whole map is read is part of the proof

    def result(self) -> Probe:
        # A result must not hold the reader's model, nor weights that nobody may ask for.
        self.study.given = self.study.prover = None
        return Probe(
            region=self.region,
            clipped=self.clipped,
            unit=self.unit,
            units=self.units,
            input_size=self.size,
            layer=self.study.layer,
            calls=self.calls,
            global_=(),
            strips=self.strips,
            _plane=Plane(partial(self.study.plane, self.size, self.unit)),
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
