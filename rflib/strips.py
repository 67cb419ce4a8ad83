"""The extents of a field from thin strips of the input: one for each axis.

Rows depend on rows and columns on columns.  So a strip that is long along one axis, and as narrow
along the others as the network allows, tells the extent along that axis at a fraction of the cost
of the square.  That is no law: a network may mix its axes.  `rflib.trace` proves it for the model
at hand, unit and all; where it cannot, the strip is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from rflib._copy import checked_unit, times
from rflib.probe import Clipped, ProbeError, _Study, subject, table
from rflib.regions import Region
from rflib.trace import Field, Trace, TraceError, trace


@dataclass(frozen=True, eq=False, repr=False)
class Strips:
    """What one unit reads along each axis, measured on strips; lengths in input pixels.

    region : first and last pixel, per axis.
    masks : per axis, a bool tensor over its pixels: the exact set along it.
    clipped : per axis (before, after), as in `Probe`.
    unit, units, input_size, layer, calls : as in `Probe`; of the whole input that was asked for.
    strips : the shape of the strip on which each axis was measured.
    """

    region: tuple[Region, ...]
    masks: tuple[Tensor, ...]
    clipped: Clipped
    unit: tuple[int, ...]
    units: tuple[int, ...]
    input_size: tuple[int, ...]
    layer: str
    calls: tuple[int, int]
    strips: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> tuple[int, ...]:
        """The extent of the field along each axis, in pixels; 0 if the unit reads none."""
        return tuple(region.size for region in self.region)

    def __str__(self) -> str:
        rows = [
            f"  axis {axis}: {region.size} pixels, {region.first} to {region.last}, on a strip of "
            f"{times(strip[1:])}" + (", clipped" if ends else "")
            for axis, (region, strip, ends) in enumerate(
                zip(self.region, self.strips, self.clipped, strict=True)
            )
        ]
        return "\n".join([subject("Receptive field", self), *rows])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = [
            (axis, region.size, region.first, region.last, "yes" if ends else "no")
            for axis, (region, ends) in enumerate(zip(self.region, self.clipped, strict=True))
        ]
        heads = ("axis", "size", "first", "last", "clipped")
        return table(subject("Receptive field", self), heads, rows, ())


def on_strips(
    model: nn.Module, size: tuple[int, ...] | None, unit: Any, layer: str, seed: int
) -> Strips:
    """Probe a unit on strips that `trace` proves to be enough.

    Raises ProbeError where there is no proof.
    """
    try:
        whole = trace(model, size)
        field = whole.of(layer)
        if size is None:  # an input on which some unit is not clipped
            whole = trace(model, field.measured_at)
            field = whole.of(layer)
    except (TraceError, KeyError) as error:
        words = error.args[0] if error.args else error
        raise ProbeError(
            f"strips=True: rflib.trace cannot prove that strips tell: {words}"
        ) from None
    if field.global_:
        raise ProbeError(
            f"strips=True: a whole map is read by {field.global_[0]}, so a strip does not tell "
            f"what the square does; leave strips out"
        )
    place = checked_unit(unit, field.units)
    full = whole.shape(0)
    if len(place) != len(full) - 2:
        raise ProbeError("strips=True: the units do not lie along the axes of the input")
    study = _Study(model, layer, seed)
    regions, masks, ends, strips = [], [], [], []
    for axis in range(len(place)):
        strip, at = _narrowest(model, layer, whole, field, place, axis)
        passed = study.run(strip).support(at)
        regions.append(passed.region[axis])
        ends.append(passed.clipped[axis])
        masks.append(passed.mask.movedim(axis, 0).reshape(strip[axis + 2], -1).any(dim=1))
        strips.append(strip)
    return Strips(
        tuple(regions),
        tuple(masks),
        Clipped(ends),
        place,
        field.units,
        full,
        study.layer,
        study.calls,
        tuple(strips),
    )


def _narrowest(
    model: nn.Module, layer: str, whole: Trace, field: Field, place: Sequence[int], axis: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The narrowest strip on which the unit reads along one axis what it reads on the whole."""
    full, wanted = whole.shape(0), field.reads(place)[axis]
    width = 1
    while width < 2 * max(full[2:]):
        strip = tuple(n if d < 2 or d == axis + 2 else min(n, width) for d, n in enumerate(full))
        try:
            found = trace(model, strip).of(layer)
        except (ValueError, TraceError, KeyError):  # the network does not run on so narrow a strip
            width *= 2
            continue
        if len(found.units) == len(place) and all(found.units):
            at = tuple(
                p if strip[d + 2] == full[d + 2] else n // 2
                for d, (p, n) in enumerate(zip(place, found.units, strict=True))
            )
            if found.units[axis] == field.units[axis] and found.reads(at)[axis] == wanted:
                return strip, at
        width *= 2
    raise ProbeError(
        f"strips=True: no strip along axis {axis} is proven to tell what the square does; leave "
        f"strips out"
    )
