"""The effective receptive field: how much each input pixel counts, not only whether it counts.

The gradient of a unit at a pixel says how much the unit moves when the pixel does.  Its size,
averaged over random inputs and divided by the sum, is the mass: a distribution over the input's
pixels.  In a stack of convolutions with random weights it is the convolution of one box per layer,
so it tends to a Gaussian whose width grows with the root of the depth, while the theoretical field
grows with the depth.  Source: Luo, Li, Urtasun, Zemel 2016, arXiv:1701.04128.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from math import inf, isfinite, log, prod, sqrt
from typing import Any

import torch
from torch import Tensor, nn

from rflib._copy import (
    Watched,
    apart,
    check_arguments,
    checked_size,
    checked_unit,
    plain_copy,
    short,
    times,
    untouched,
    whole_number,
)
from rflib._linear import ProbeError
from rflib.probe import Probe, probe, subject, table

__all__ = ["Effective", "Gaussian", "effective"]

POWERS = {"absolute": 1, "squared": 2}
SAMPLES = 32  # random inputs, when no number is given
LARGEST = 2**19  # positions of an input that nobody asked for; its activations are all kept
PATIENCE = 200  # samples from which on a progress bar shows itself
NARROWEST = 0.25  # pixels: a narrower Gaussian is one pixel all the same
HAIR = 1e-9  # of mass; what sums of equal parts may miss by rounding


@dataclass(frozen=True, eq=False)
class Gaussian:
    """The Gaussian that is nearest to a mass, by least squares over its pixels.

    centre, sigma : per axis, in input pixels; sigma is at least 0.25.
    values : float64 tensor over the input's axes, in the unit of the mass.
    explained : the share of the mass that lies under the Gaussian, the sum over the pixels of
        min(mass, value); 1 if they are the same.
    """

    centre: tuple[float, ...]
    sigma: tuple[float, ...]
    values: Tensor
    explained: float

    def __repr__(self) -> str:
        return (
            f"Gaussian(centre={_numbers(self.centre)}, sigma={_numbers(self.sigma)}, "
            f"explained={self.explained:.2f})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Effective:
    """How the influence on one unit is spread; lengths in input pixels, an entry per input axis.

    mass : float64 tensor over the input's axes, not negative, of sum 1.
    standard_error : of each `sigma`, for the choice of the samples (jackknife); None if fewer than
        two samples have a gradient.
    samples, silent : inputs that were averaged, and how many of them have a gradient of zero.
    power : "squared" or "absolute", of the gradient before averaging.
    channel : of the unit; None for all of them.
    probe : the theoretical field, as `rflib.probe` finds it; None if it was not wanted.
    unit, units, input_size, layer, calls : as in `Probe`.

    Shares lie above 0 and reach up to 1; any other raises ValueError, as does `fraction` without a
    theoretical field.
    """

    mass: Tensor
    standard_error: tuple[float, ...] | None
    samples: int
    silent: int
    power: str
    channel: int | None
    probe: Probe | None
    unit: tuple[int, ...]
    units: tuple[int, ...]
    input_size: tuple[int, ...]
    layer: str
    calls: tuple[int, int]

    @property
    def centre(self) -> tuple[float, ...]:
        """The mean position of the mass along each axis."""
        return tuple(_moments(line)[0] for line in self._lines())

    @property
    def sigma(self) -> tuple[float, ...]:
        """The standard deviation of the mass along each axis."""
        return tuple(_moments(line)[1] for line in self._lines())

    @property
    def radius(self) -> float:
        """The root of the mean squared distance from the centre, weighted by the mass.

        Along one axis it is sigma; along two equal ones, the root of 2 times sigma.
        """
        return sqrt(sum(sigma**2 for sigma in self.sigma))

    @property
    def theoretical(self) -> tuple[int, ...] | None:
        """The size of the theoretical field along each axis, within the input."""
        return None if self.probe is None else self.probe.size

    def profile(self, axis: int = 0) -> Tensor:
        """The mass along one axis, summed over the others."""
        axes = self.mass.dim()
        if not 0 <= whole_number(axis, "axis", axis) < axes:
            raise ValueError(f"axis={axis}: must be 0 to {axes - 1}")
        return _line(self.mass, axis)

    def share(self, within: float | Sequence[tuple[int, int]]) -> float:
        """The share of the mass within a distance of the centre, or within a box.

        within: a distance in pixels, to the pixels' middles; or (first, last) along each axis, as
        `rflib.region` gives it, of which what lies outside the input holds nothing.
        """
        if isinstance(within, (int, float)) and not isinstance(within, bool):
            if not within >= 0:
                raise ValueError(f"within={within}: a distance must be at least 0")
            return float(self.mass[self._distances() <= within].sum())
        return float(self.mass[self._box(within)].sum())

    def radius_of(self, share: float) -> float:
        """The smallest distance from the centre within which this share of the mass lies."""
        distances, order = self._distances().flatten().sort()
        held = self.mass.flatten()[order].cumsum(dim=0)
        return float(distances[_first_over(held, _checked_share(share))])

    def area(self, share: float = 0.95) -> int:
        """The smallest number of pixels that hold this share of the mass (in 3-D: voxels)."""
        held = self.mass.flatten().sort(descending=True).values.cumsum(dim=0)
        return 1 + _first_over(held, _checked_share(share))

    def side(self, share: float = 0.95) -> tuple[int, ...]:
        """Along each axis, the length of the shortest run of pixels with this share of the mass.

        The other axes are summed over, whole.
        """
        wanted = _checked_share(share)
        return tuple(_shortest_run(line, wanted) for line in self._lines())

    def fraction(self, share: float = 0.95) -> float:
        """`area` as a fraction of the pixels of the theoretical field."""
        if self.probe is None:
            raise ValueError("theoretical=False was given, so there is no field to compare with")
        return self.area(share) / int(self.probe.mask.sum())

    def gaussian(self) -> Gaussian:
        """The Gaussian, its axes those of the input, that is nearest to the mass.

        It minimises the sum over the pixels of (value - mass) squared, by Levenberg-Marquardt.
        Beside its sigma, that of the mass is larger where the mass has a high middle and long
        tails, as in a residual network.
        """
        starts = [self.sigma, tuple(side / 2 for side in self.side(0.5))]
        fits = [_Fit(self.mass, self.centre, sigma).run() for sigma in starts]
        return min(fits, key=lambda fit: fit.error).result()

    def __str__(self) -> str:
        # Written without "±": some terminals have no such letter.
        rows = [
            f"  axis {axis}: sigma {sigma}{error and f' (error {error})'}, "
            f"95% of the mass in {side}{field and f' of {field}'} pixels"
            for axis, _, sigma, error, side, field in self._rows()
        ]
        notes = [f"  {note}" for note in self._notes()]
        return "\n".join([subject("Effective receptive field", self), *rows, *notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        heads = ("axis", "centre", "sigma", "error of sigma", "95% of the mass in", "theoretical")
        return table(subject("Effective receptive field", self), heads, self._rows(), self._notes())

    def _rows(self) -> Iterator[tuple[str, ...]]:
        sides = self.side()
        for axis, (centre, sigma) in enumerate(zip(self.centre, self.sigma, strict=True)):
            # Rounded first: equal samples differ in the last digits of a float.
            error = (
                "" if self.standard_error is None else f"{round(self.standard_error[axis], 6):.2g}"
            )
            field = "" if self.probe is None else str(self.probe.size[axis])
            yield str(axis), f"{centre:.1f}", f"{sigma:.3g}", error, str(sides[axis]), field

    def _notes(self) -> Iterator[str]:
        area = f"radius {self.radius:.3g}; 95% of the mass on {self.area()} pixels"
        yield area if self.probe is None else f"{area}, {self.fraction():.2g} of the field"
        channel = "all channels" if self.channel is None else f"channel {self.channel}"
        noun = "input" if self.samples == 1 else "inputs"
        yield f"{self.power} gradient of {channel}, mean over {self.samples} {noun}"
        if self.silent:
            yield f"{self.silent} of them have a gradient of zero everywhere"
        if self.probe is not None and self.probe.clipped:
            yield "the input's border clips the theoretical field, and perhaps this one"

    def _lines(self) -> list[Tensor]:
        return [_line(self.mass, axis) for axis in range(self.mass.dim())]

    def _distances(self) -> Tensor:
        squares = [(grid - c) ** 2 for grid, c in zip(_grids(self.mass), self.centre, strict=True)]
        return torch.as_tensor(sum(squares)).sqrt()

    def _box(self, within: Any) -> tuple[slice, ...]:
        axes = self.mass.dim()
        wanted = f"must be a distance, or (first, last) for each of {axes} axes"
        try:
            ends = [(first, last) for first, last in within]
        except (TypeError, ValueError):
            raise TypeError(f"within={short(within)}: {wanted}") from None
        if len(ends) != axes:
            raise ValueError(f"within={short(within)}: {len(ends)} axes; {wanted}")
        for first, last in ends:
            if whole_number(last, "within", within) < whole_number(first, "within", within):
                raise ValueError(f"within={short(within)}: a first is after its last")
        return tuple(slice(max(0, first), max(0, last + 1)) for first, last in ends)


def effective(
    model: nn.Module,
    input_size: Sequence[int] | None = None,
    unit: int | Sequence[int] | None = None,
    layer: str | None = None,
    samples: int | None = None,
    seed: int = 0,
    *,
    channel: int | None = None,
    power: str = "squared",
    inputs: Tensor | Iterable[Tensor] | None = None,
    dtype: torch.dtype = torch.float64,
    theoretical: bool = True,
    progress: bool | None = None,
) -> Effective:
    """Measure how strongly each input pixel influences one unit of a torch module.

    The model runs as it is, with its own weights, activations and pools, in eval mode, one input at
    a time; on a copy on the CPU, so it is never changed, and its hooks are not run. What has no
    derivative (argmax, detach, no_grad) has no influence here.

    With all channels, each input draws a direction v, uniform on the sphere over the unit's
    channels, and goes backward once, from v * unit. The mean over v of (v * g)**2 is the sum of
    g**2 over the channels, and that of abs(v * g) is the root of that sum times a constant. So
    every channel counts, none can cancel another, and a unit of one channel has no noise from v.

    For one and the same Gaussian mass of absolute gradients, the sigma of squared ones is smaller
    by the root of 2.

    Parameters
    ----------
    model : any nn.Module that is called with one tensor.
    input_size : (1, channels, *axes) with one to three axes, in pixels. None: that of `inputs`, or
        the one at which `rflib.probe` sees the whole field.
    unit : index along each axis of the output, or one for all; None: the centre, n // 2.
    layer : path of the submodule whose output is measured, as for `rflib.probe`, "name@2" too.
    samples : how many inputs to average over. None: 32 random ones, or all that `inputs` has.
    seed : of the random inputs and directions, and of what is random in the model.
    channel : of the unit; None for all of them.
    power : "squared" averages the squared gradient, "absolute" its absolute value; both are summed
        over the input's channels.
    inputs : a tensor (n, channels, *axes), or an iterable of such tensors; each of the n is one
        sample. None: standard normal noise.
    dtype : torch.float64 or torch.float32, of the copy.
    theoretical : whether to measure the theoretical field too, with `rflib.probe`.
    progress : True shows a bar, which needs tqdm; None does so for 200 samples or more, where tqdm
        is installed; False never.

    Returns
    -------
    Effective

    Raises
    ------
    TypeError, ValueError : naming the argument, its value and what is allowed.
    ImportError : progress=True without tqdm.
    ProbeError : all gradients are zero, or one is NaN or infinite; or `rflib.probe` raises it.

    Source: Luo et al. 2016, whose law for random weights is that of the squared gradient.

    Examples
    --------
    >>> from torch import nn
    >>> net = nn.Sequential(*(nn.Conv1d(1, 1, 3, bias=False) for _ in range(6)))
    >>> for conv in net:
    ...     _ = nn.init.constant_(conv.weight, 1 / 3)
    >>> r = effective(net, power="absolute")
    >>> r
    Effective receptive field of unit 10 of 20, input 1 x 32
      axis 0: sigma 2 (error 0), 95% of the mass in 8 of 13 pixels
      radius 2; 95% of the mass on 8 pixels, 0.62 of the field
      absolute gradient of all channels, mean over 32 inputs
    >>> r.gaussian()
    Gaussian(centre=16, sigma=2.06, explained=1.00)
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile has wrapped
    check_arguments(model, layer, seed)
    _check_choices(samples, channel, power, dtype, theoretical, progress)
    size = None if input_size is None else checked_size(input_size)
    images: Iterator[Tensor] | None = None
    if inputs is not None:
        size, images = _given(inputs, size)
    field = None
    if theoretical or size is None:
        field = _field(model, size, unit, layer)
        size = size or field.input_size
    assert size is not None
    count = samples or (None if inputs is not None else SAMPLES)
    bar = _bar(progress, count or (len(inputs) if isinstance(inputs, Tensor) else None))
    with apart(dtype), untouched(model):
        torch.default_generator.manual_seed(seed)
        study = _Study(plain_copy(model, dtype), layer or "", unit, channel, POWERS[power], seed)
        source = "inputs" if images is not None else "input_size"
        for image in bar(islice(images or _noise(size, seed), count)):
            study.add(image.to(dtype), source)
        if samples and study.samples < samples:
            raise ValueError(f"samples={samples}: inputs has {study.samples} only")
        mass = study.mass(field, dtype)
        return Effective(
            mass=mass,
            standard_error=study.standard_error(),
            samples=study.samples,
            silent=study.silent,
            power=power,
            channel=channel,
            probe=field if theoretical else None,
            unit=study.unit,
            units=study.units,
            input_size=size,
            layer=study.layer,
            calls=study.calls,
        )


class _Study(Watched):
    """The copy, and the powers of its gradients added up.

    They are kept divided by the largest gradient so far, so that none over- or underflows.
    """

    unit: tuple[int, ...]
    units: tuple[int, ...]

    def __init__(
        self,
        model: nn.Module,
        layer: str,
        unit: Any,
        channel: int | None,
        power: int,
        seed: int,
    ) -> None:
        super().__init__(model, layer)
        self.wanted, self.channel, self.power = unit, channel, power
        # Not the generator of the inputs: those are the same whatever the directions are.
        self.draw = torch.Generator().manual_seed(2**63 - 1 - seed)
        self.largest = 0.0
        self.total: Tensor | None = None
        self.lines: list[tuple[float, list[Tensor]]] = []  # per sample, along each axis
        self.samples = self.silent = 0

    def add(self, image: Tensor, source: str) -> None:
        self.samples += 1
        gradient = self.gradient(image.requires_grad_(), source)
        peak = float(gradient.abs().max())
        if not isfinite(peak):
            raise ProbeError(
                f"the gradient of sample {self.samples - 1} holds NaN or infinity: numbers too "
                f"large for the copy's dtype, or a step without a derivative there, as sqrt at 0"
            )
        if not peak:
            self.silent += 1
            return
        if self.total is not None and peak > self.largest:
            self.total *= (self.largest / peak) ** self.power
        self.largest = max(self.largest, peak)
        part = ((gradient.abs() / self.largest) ** self.power).sum(dim=0)
        self.total = part if self.total is None else self.total + part
        self.lines.append((self.largest, [_line(part, axis) for axis in range(part.dim())]))

    def gradient(self, image: Tensor, source: str) -> Tensor:
        self.forward(image, source)
        output = self.output()
        if not output.requires_grad:
            raise ProbeError(
                f"{self.what} has no gradient with respect to the input: it does not depend on it, "
                f"or through argmax, detach, no_grad and the like only"
            )
        self.units = tuple(output.shape[2:])
        self.unit = checked_unit(self.wanted, self.units)
        start = torch.zeros_like(output)
        place: tuple[Any, ...] = (0, slice(None), *self.unit)
        start[place] = self.direction(output.shape[1]).to(start.dtype)
        (found,) = self.gradients(output, [image], start)
        return found[0].to(torch.float64)

    def direction(self, channels: int) -> Tensor:
        direction = torch.zeros(channels, dtype=torch.float64)
        if self.channel is None:
            direction.normal_(generator=self.draw)
            return direction.mul_(sqrt(channels) / float(torch.linalg.norm(direction)))
        if not 0 <= self.channel < channels:
            raise ValueError(f"channel={self.channel}: {self.what} has 0 to {channels - 1}")
        direction[self.channel] = 1
        return direction

    def mass(self, field: Probe | None, dtype: torch.dtype) -> Tensor:
        if self.total is None:
            if field is not None and field.region[0].empty:
                reason = "it reads no pixel of the input, only padding or constants"
            else:
                reason = (
                    f"ReLUs that are off for these inputs, weights of zero, a step without a slope "
                    f"(round, sign), or numbers too small for {dtype}. Try other inputs, another "
                    f"unit or more samples"
                )
            raise ProbeError(
                f"the gradient of unit {self.unit} is zero everywhere, for each of "
                f"{self.samples} inputs: {reason}"
            )
        return self.total / self.total.sum()

    def standard_error(self) -> tuple[float, ...] | None:
        """Jackknife: the spread of sigma when each sample in turn is left out."""
        if len(self.lines) < 2:
            return None
        errors = []
        for axis in range(len(self.lines[0][1])):
            rows = torch.stack(
                [
                    lines[axis] * (largest / self.largest) ** self.power
                    for largest, lines in self.lines
                ]
            )
            rest = (rows.sum(dim=0) - rows).clamp(min=0)
            if not rest.sum(dim=1).all():
                return None  # one sample outweighs all others together
            sigmas = torch.tensor([_moments(row / row.sum())[1] for row in rest])
            n = len(sigmas)
            errors.append(sqrt((n - 1) / n * float(((sigmas - sigmas.mean()) ** 2).sum())))
        return tuple(errors)


class _Fit:
    """Least squares for the centre and the logarithm of sigma; the height follows from both."""

    def __init__(self, mass: Tensor, centre: Sequence[float], sigma: Sequence[float]) -> None:
        self.mass, self.grids = mass, _grids(mass)
        logs = torch.tensor([max(s, NARROWEST) for s in sigma], dtype=torch.float64).log()
        self.place = torch.cat([torch.tensor(centre, dtype=torch.float64), logs])
        self.error, self.values = self.try_out(self.place)

    def try_out(self, place: Tensor) -> tuple[float, Tensor]:
        """The squared error there, and the Gaussian of the best height."""
        shape = torch.exp(-torch.as_tensor(sum(step**2 for step in self.steps(place))) / 2)
        power = float((shape**2).sum())
        if not power:  # a step far out, where no pixel is
            return inf, shape
        values = shape * (float((shape * self.mass).sum()) / power)
        return float(((values - self.mass) ** 2).sum()), values

    def steps(self, place: Tensor) -> list[Tensor]:
        """How many sigmas each pixel is off the centre, along each axis."""
        ends = zip(self.grids, *place.view(2, -1), strict=True)
        return [(grid - centre) / width.exp() for grid, centre, width in ends]

    def slopes(self) -> Tensor:
        """Of the values, by each parameter, at the best height: a column each."""
        steps = self.steps(self.place)
        widths = self.place.view(2, -1)[1]
        slopes = [self.values * step / w.exp() for step, w in zip(steps, widths, strict=True)]
        slopes += [self.values * step**2 for step in steps]
        columns = torch.stack([slope.flatten() for slope in slopes], dim=1)
        values = self.values.flatten()
        return columns - values[:, None] * (values @ columns) / (values @ values)

    def run(self) -> _Fit:
        damping = 1e-3
        for _ in range(200):
            slopes = self.slopes()
            normal = slopes.T @ slopes
            wanted = slopes.T @ (self.mass - self.values).flatten()
            diagonal = normal.diagonal()
            bed = torch.diag(damping * diagonal + 1e-12 * diagonal.max() + 1e-300)
            place = self.place + torch.linalg.solve(normal + bed, wanted)
            axes = len(place) // 2
            place[axes:] = place[axes:].clamp(min=log(NARROWEST))
            error, values = self.try_out(place)
            if error >= self.error:
                damping *= 10
                if damping > 1e12:
                    break
                continue
            gained = self.error - error
            self.place, self.error, self.values = place, error, values
            damping = max(damping / 10, 1e-12)
            if gained <= 1e-14 * error:
                break
        return self

    def result(self) -> Gaussian:
        centre, logs = self.place.view(2, -1)
        return Gaussian(
            centre=tuple(centre.tolist()),
            sigma=tuple(max(NARROWEST, sigma) for sigma in logs.exp().tolist()),
            values=self.values,
            explained=float(torch.minimum(self.values, self.mass).sum()),
        )


def _check_choices(
    samples: Any, channel: Any, power: Any, dtype: Any, theoretical: Any, progress: Any
) -> None:
    if samples is not None and whole_number(samples, "samples", samples) < 1:
        raise ValueError(f"samples={samples}: must be at least 1")
    if channel is not None:
        whole_number(channel, "channel", channel)
    if not isinstance(power, str) or power not in POWERS:
        raise ValueError(f"power={short(power)}: must be 'squared' or 'absolute'")
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype={short(dtype)}: must be torch.float64 or torch.float32")
    if not isinstance(theoretical, bool):
        raise TypeError(f"theoretical={short(theoretical)}: must be True or False")
    if progress is not None and not isinstance(progress, bool):
        raise TypeError(f"progress={short(progress)}: must be True, False or None")


def _field(model: nn.Module, size: tuple[int, ...] | None, unit: Any, layer: Any) -> Probe:
    try:
        field = probe(model, size, unit, layer)
    except ProbeError as error:
        remedy = "theoretical=False" if size else "Give an input_size, and theoretical=False"
        raise ProbeError(f"{error}. {remedy} leaves out rflib.probe, which says this") from error
    if size is None and prod(field.input_size[2:]) > LARGEST:
        raise ValueError(
            f"input_size=None: the field is {times(field.size)} pixels, and an input for all of it "
            f"takes much memory. Give a smaller input_size (the effective field is smaller too), "
            f"or {field.input_size} if you want it all"
        )
    return field


def _noise(size: tuple[int, ...], seed: int) -> Iterator[Tensor]:
    draw = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(size, generator=draw, dtype=torch.float64, device="cpu")


def _given(inputs: Any, size: tuple[int, ...] | None) -> tuple[tuple[int, ...], Iterator[Tensor]]:
    """The reader's inputs one by one, and their size, which must be that of the first."""
    images = _split(inputs)
    first = next(images, None)
    if first is None:
        raise ValueError("inputs is empty; must hold at least one tensor (n, channels, *axes)")
    found = tuple(first.shape)
    if size is not None and size != found:
        raise ValueError(f"input_size={size}: but each of inputs has the size {found}")
    return found, (_alike(image, found) for image in chain([first], images))


def _alike(image: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(image.shape) != size:
        raise ValueError(
            f"inputs: one has the size {tuple(image.shape)}, the first {size}; must be the same"
        )
    return image


def _split(inputs: Any) -> Iterator[Tensor]:
    wanted = "must be a tensor (n, channels, *axes) with one to three axes, or an iterable of such"
    if not isinstance(inputs, Iterable) or isinstance(inputs, (str, bytes, dict)):
        raise TypeError(f"inputs={short(inputs)}: {wanted}")
    for batch in [inputs] if isinstance(inputs, Tensor) else inputs:
        if not isinstance(batch, Tensor):
            pair = isinstance(batch, (tuple, list))
            hint = ". From a loader of pairs: inputs=(x for x, _ in loader)" if pair else ""
            raise TypeError(f"inputs: one is a {type(batch).__name__}; {wanted}{hint}")
        if not batch.is_floating_point():
            raise TypeError(f"inputs: one has the type {batch.dtype}; must be floating point")
        if not 3 <= batch.dim() <= 5 or not batch[:1].numel():
            raise ValueError(f"inputs: one has the shape {tuple(batch.shape)}; {wanted}")
        if not batch.isfinite().all():
            raise ValueError("inputs: one holds NaN or infinity; must be finite")
        yield from torch.split(batch.detach().cpu().to(torch.float64), 1)


def _bar(progress: bool | None, total: int | None) -> Any:
    """What shows the samples as they pass, or lets them pass."""
    if progress or (progress is None and total is not None and total >= PATIENCE):
        try:
            from tqdm.auto import tqdm  # type: ignore[import-untyped]
        except ImportError:
            if progress:
                raise ImportError("progress=True needs tqdm: pip install tqdm") from None
        else:
            return lambda images: tqdm(images, total=total, unit="sample")
    return lambda images: images


def _checked_share(share: Any) -> float:
    if isinstance(share, bool) or not isinstance(share, (int, float)):
        raise TypeError(f"share={short(share)}: must be a number above 0, at most 1")
    if not 0 < share <= 1:
        raise ValueError(f"share={share}: must be above 0 and at most 1")
    return float(share)


def _first_over(held: Tensor, share: float) -> int:
    """The first place at which a growing sum has reached the share, but for rounding."""
    return int((held < share - HAIR).sum())


def _shortest_run(line: Tensor, share: float) -> int:
    held = torch.cat([torch.zeros(1, dtype=torch.float64), line.cumsum(dim=0)])
    # For each first pixel the first end that holds enough; len(held) where none does.
    ends = torch.searchsorted(held, held[:-1] + (share - HAIR))
    lengths = ends - torch.arange(len(line))
    return int(lengths[ends < len(held)].min())


def _grids(mass: Tensor) -> list[Tensor]:
    """The position along each axis, in a shape that spreads over the mass."""
    axes = mass.dim()
    return [
        torch.arange(n, dtype=torch.float64).view(-1, *[1] * (axes - 1 - axis))
        for axis, n in enumerate(mass.shape)
    ]


def _line(values: Tensor, axis: int) -> Tensor:
    """Summed over all axes but one."""
    return values.movedim(axis, 0).flatten(1).sum(dim=1) if values.dim() > 1 else values


def _moments(line: Tensor) -> tuple[float, float]:
    """Mean and standard deviation of the position."""
    places = torch.arange(len(line), dtype=torch.float64)
    mean = float(line @ places)
    return mean, sqrt(float(line @ (places - mean) ** 2))


def _numbers(values: Sequence[float]) -> str:
    texts = [f"{value:.3g}" for value in values]
    return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"
