"""The vocabulary: what one layer reads.

A layer is a window.  Along one axis, unit ``o`` of its output reads the positions

    s*o - p,  s*o - p + d,  ...,  s*o - p + d*(k - 1)

of its input: kernel ``k``, stride ``s``, padding ``p``, dilation ``d``.  A transposed layer is the
same picture upside down: position ``i`` of its input *writes* those positions of its output.
Everything else in rflib follows from this one sentence.  Source: Dumoulin and Visin, "A guide to
convolution arithmetic for deep learning", 2016.

Layers are read from numbers, from dicts and from torch modules; torch itself is never imported.
"""

from __future__ import annotations

import operator
import re
import reprlib
import struct
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import KW_ONLY, dataclass, fields
from functools import cached_property
from math import floor
from typing import Any

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Words(reprlib.Repr):
    """Short words for any value; Python refuses to print integers of more than 4,300 digits."""

    def repr_int(self, x: int, level: int) -> str:
        """Say a huge integer by its number of digits."""
        if x.bit_length() > 200:
            return f"an integer of about {int(x.bit_length() * 0.30103) + 1:,} digits"
        return super().repr_int(x, level)


_words = _Words()
_words.maxother = 60  # room for a Layer
told = _words.repr


class DefinitionOrderWarning(UserWarning):
    """The layers were read in the order of definition, which need not be the order of execution."""


def whole(name: str, value: object, least: int) -> int:
    """Return `value` as an int of at least `least`, or say in words what is wrong with it."""
    allowed = f"an integer of at least {least}"
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be {allowed}; got {told(value)}")
    try:
        number = operator.index(value)
    except TypeError:  # a tensor or array of more than one number has __index__ and refuses
        raise TypeError(f"{name} must be {allowed}; got {told(value)}") from None
    if number < least:
        raise ValueError(f"{name} must be {allowed}; got {told(number)}")
    return number


def switch(name: str, value: object) -> bool:
    """Return `value` when it is True or False, or say in words what is wrong with it."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False; got {told(value)}")
    return value


def per_axis(name: str, value: object, least: int) -> int | tuple[int, ...]:
    """Return one integer, or a tuple of one integer per axis, checked."""
    if isinstance(value, (tuple, list)):
        if not value:
            raise ValueError(
                f"{name} must be an integer or one integer per axis; got {told(value)}"
            )
        return tuple(whole(f"{name}[{i}]", entry, least) for i, entry in enumerate(value))
    return whole(name, value, least)


@dataclass(frozen=True)
class LayerAxis:
    """One layer along one axis: plain integers, padding before and after."""

    kernel: int
    stride: int
    before: int
    after: int
    dilation: int
    transposed: bool
    output_padding: int
    ceil_mode: bool
    padding_mode: str

    @property
    def reach(self) -> int:
        """The distance from the first to the last position of the window, d(k - 1)."""
        return self.dilation * (self.kernel - 1)


@dataclass(frozen=True)
class Layer:
    """One layer of a network: a window that slides, or one that writes (transposed).

    Parameters
    ----------
    kernel, stride, dilation : int >= 1, or a tuple with one per axis.
    padding : int >= 0; "same" or "valid" as in torch; or a tuple with, for each axis, an int or a
        pair (before, after).
    transposed : the window writes instead of reading (``torch.nn.ConvTranspose2d``).
    output_padding : transposed layers only; extra output positions at the end.
    ceil_mode : pooling only; the last window may reach past the end of the input.
    padding_mode : what stands in the padding: "zeros", "reflect", "replicate" or "circular".
    name : shown in tables.

    Raises
    ------
    TypeError, ValueError : naming the argument, the value and what is allowed.

    Examples
    --------
    >>> Layer(7, stride=2, padding=3)
    Layer(7, stride=2, padding=3)
    >>> Layer((3, 5)).axes
    2
    >>> Layer(0)
    Traceback (most recent call last):
        ...
    ValueError: kernel must be an integer of at least 1; got 0
    """

    kernel: int | tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    padding: int | str | tuple[int | tuple[int, int], ...] = 0
    dilation: int | tuple[int, ...] = 1
    _: KW_ONLY
    transposed: bool = False
    output_padding: int | tuple[int, ...] = 0
    ceil_mode: bool = False
    padding_mode: str = "zeros"
    name: str = ""

    def __post_init__(self) -> None:
        for field, least in (("kernel", 1), ("stride", 1), ("dilation", 1), ("output_padding", 0)):
            self._set(field, per_axis(field, getattr(self, field), least))
        switch("transposed", self.transposed)
        switch("ceil_mode", self.ceil_mode)
        self._set("padding", _padding(self.padding))
        if not isinstance(self.padding_mode, str) or self.padding_mode not in PADDING_MODES:
            raise _wrong("padding_mode", self.padding_mode, f"one of {', '.join(PADDING_MODES)}")
        if not isinstance(self.name, str):
            raise TypeError(f"name must be a string; got {told(self.name)}")
        axes = self.axes  # agreement between the tuples is checked here
        for i in range(axes or 1):
            self._check(i)

    def _set(self, field: str, value: object) -> None:
        object.__setattr__(self, field, value)

    def _check(self, i: int) -> None:
        stride, dilation = _entry(self.stride, i), _entry(self.dilation, i)
        extra = _entry(self.output_padding, i)
        if self.padding == "same" and (stride != 1 or self.transposed):
            what = "a transposed layer" if self.transposed else f"stride {stride}"
            raise ValueError(
                f'padding="same" must go with a stride of 1 and a layer that is not transposed, '
                f"as in torch; got it with {what}: give the padding as an integer"
            )
        if extra and not self.transposed:
            raise ValueError(
                f"output_padding must be 0 unless transposed=True; got {told(self.output_padding)}"
            )
        if extra and extra >= max(stride, dilation):
            raise ValueError(
                f"output_padding must be smaller than the stride or the dilation (here "
                f"{told(max(stride, dilation))}), as in torch; got {told(extra)}"
            )
        if self.transposed and self.padding_mode != "zeros":
            raise ValueError(
                f'padding_mode must be "zeros" for a transposed layer, as in torch; got '
                f"{self.padding_mode!r}"
            )
        if self.ceil_mode and self.transposed:
            raise ValueError("ceil_mode must be False for a transposed layer; got True")

    @cached_property
    def axes(self) -> int | None:
        """The number of axes when any argument is given per axis, else None."""
        lengths = {
            name: len(value)
            for name in ("kernel", "stride", "padding", "dilation", "output_padding")
            if isinstance(value := getattr(self, name), tuple)
        }
        if len(set(lengths.values())) > 1:
            given = ", ".join(f"{name}={told(getattr(self, name))}" for name in lengths)
            raise ValueError(
                f"kernel, stride, padding, dilation and output_padding must have one entry per "
                f"axis, the same number in each; got {given}"
            )
        return next(iter(lengths.values()), None)

    def axis(self, i: int) -> LayerAxis:
        """Return this layer along axis `i`; a number counts for every axis."""
        kernel, dilation = _entry(self.kernel, i), _entry(self.dilation, i)
        before, after = _pads(self.padding, i, dilation * (kernel - 1))
        return LayerAxis(
            kernel,
            _entry(self.stride, i),
            before,
            after,
            dilation,
            self.transposed,
            _entry(self.output_padding, i),
            self.ceil_mode,
            self.padding_mode,
        )

    def __repr__(self) -> str:
        parts = [_exact(self.kernel)]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if value != field.default:
                parts.append(f"{field.name}={_exact(value)}")
        return f"Layer({', '.join(parts)})"

    def __str__(self) -> str:
        """Say the layer briefly: "conv1 7/2" is a 7-wide window of stride 2."""
        text = f"{_short(self.kernel)}/{_short(self.stride)}"
        if self.dilation not in (1, (1,) * (self.axes or 1)):
            text += f" d{_short(self.dilation)}"
        if self.transposed:
            text += " transposed"
        return f"{self.name} {text}".strip()


def _wrong(name: str, value: object, allowed: str) -> ValueError | TypeError:
    kind = ValueError if isinstance(value, (str, int, tuple, list)) else TypeError
    return kind(f"{name} must be {allowed}; got {told(value)}")


def _padding(value: object) -> int | str | tuple[int | tuple[int, int], ...]:
    allowed = 'an integer of at least 0, "same", "valid", or per axis an integer or a pair'
    if isinstance(value, str):
        if value not in ("same", "valid"):
            raise ValueError(f"padding must be {allowed}; got {told(value)}")
        return value
    if not isinstance(value, (tuple, list)):
        return whole("padding", value, 0)
    if not value:
        raise ValueError(f"padding must be {allowed}; got {told(value)}")
    return tuple(_axis_padding(f"padding[{i}]", entry) for i, entry in enumerate(value))


def _axis_padding(name: str, value: object) -> int | tuple[int, int]:
    if not isinstance(value, (tuple, list)):
        return whole(name, value, 0)
    if len(value) != 2:
        raise ValueError(f"{name} must be an integer or a pair (before, after); got {told(value)}")
    return whole(f"{name}[0]", value[0], 0), whole(f"{name}[1]", value[1], 0)


def _entry(value: int | tuple[int, ...], i: int) -> int:
    return value[i] if isinstance(value, tuple) else value


def _pads(
    padding: int | str | tuple[int | tuple[int, int], ...], i: int, reach: int
) -> tuple[int, int]:
    if padding == "same":  # torch puts the odd one at the end
        return reach // 2, reach - reach // 2
    entry = padding[i] if isinstance(padding, tuple) else padding
    if isinstance(entry, str):  # "valid"
        return 0, 0
    return entry if isinstance(entry, tuple) else (entry, entry)


def _exact(value: object) -> str:
    """Say a value in full where Python can."""
    try:
        return repr(value)
    except ValueError:  # an integer of more than 4,300 digits
        return told(value)


def _short(value: int | tuple[int, ...]) -> str:
    if not isinstance(value, tuple):
        return told(value)
    return told(value[0]) if len(set(value)) == 1 else "x".join(map(told, value))


# Reading --------------------------------------------------------------------------------------


def read(layers: object, order: str | None = None) -> tuple[Layer, ...]:
    """Return the layers that `layers` describes, in the order in which they run.

    Parameters
    ----------
    layers : a `Layer`, a torch module that is one layer, an ``nn.Sequential``, or a sequence of
        `Layer`, tuples ``(k,)``, ``(k, s)``, ``(k, s, p)``, ``(k, s, p, d)``, dicts of `Layer`'s
        arguments, torch modules and ``nn.Sequential``.
    order : None, or "definition" to walk a module that has a ``forward`` of its own in the order
        in which its layers were defined.  That order need not be the order of execution, so the
        walk emits `DefinitionOrderWarning`.

    Raises
    ------
    TypeError, ValueError : naming the entry, its value and what is allowed.  A module that cannot
        be placed is named; nothing is skipped.

    Examples
    --------
    >>> read([(3,), (3, 2, 1), {"kernel": 5, "dilation": 2}])
    (Layer(3), Layer(3, stride=2, padding=1), Layer(5, dilation=2))
    """
    if order is not None and not (isinstance(order, str) and order == "definition"):
        raise ValueError(f'order must be None or "definition"; got {told(order)}')
    found = tuple(_read_all(layers, order))
    if not found:
        raise ValueError(f"layers must hold at least one layer; got {told(layers)}")
    _common_axes(found)
    return found


def _read_all(layers: object, order: str | None) -> list[Layer]:
    if isinstance(layers, Layer):
        return [layers]
    if _is_module(layers):
        return _read_module(layers, "layers", order)
    what = (
        "a sequence of layers, each a Layer, a tuple (kernel, stride, padding, dilation), a dict "
        "or a torch module"
    )
    if isinstance(layers, (str, bytes, Mapping, Set)) or not isinstance(layers, Iterable):
        unordered = ", which has no order" if isinstance(layers, Set) else ""
        raise TypeError(f"layers must be {what}; got {told(layers)}{unordered}")
    found: list[Layer] = []
    for i, entry in enumerate(layers):
        found.extend(_read_entry(entry, f"layers[{i}]", order))
    return found


def _read_entry(entry: object, place: str, order: str | None) -> list[Layer]:
    if isinstance(entry, Layer):
        return [entry]
    if _is_module(entry):
        return _read_module(entry, place, order)
    try:
        if isinstance(entry, Mapping):
            return [_from_dict(entry)]
        if isinstance(entry, list) and any(isinstance(part, (tuple, list)) for part in entry):
            raise TypeError(
                f"one layer must be a tuple (kernel, stride, padding, dilation), each an integer "
                f"or one integer per axis; got a list, {told(entry)}, which may also be several "
                f"layers: join those into the one list"
            )
        if isinstance(entry, (tuple, list)):
            return [_from_tuple(entry)]
    except (TypeError, ValueError) as error:
        raise type(error)(f"{place}: {error}") from None
    hint = f"; a bare kernel is written ({told(entry)},)" if type(entry) is int else ""
    raise TypeError(
        f"{place} must be a Layer, a tuple (kernel, stride, padding, dilation), a dict or a torch "
        f"module; got {told(entry)}{hint}"
    )


def _from_tuple(entry: Sequence[Any]) -> Layer:
    if not 1 <= len(entry) <= 4:
        raise ValueError(
            f"a tuple must be (kernel,), (kernel, stride), (kernel, stride, padding) or (kernel, "
            f"stride, padding, dilation); got {told(entry)}"
        )
    return Layer(*entry)


def _from_dict(entry: Mapping[Any, Any]) -> Layer:
    known = [field.name for field in fields(Layer)]
    unknown = [key for key in entry if key not in known]
    if unknown or "kernel" not in entry:
        wrong = f"the unknown key {unknown[0]!r}" if unknown else "no kernel"
        raise ValueError(
            f"a dict must have kernel and may have {', '.join(known[1:])}; got {wrong} in "
            f"{told(dict(entry))}"
        )
    return Layer(**entry)


def _common_axes(layers: Sequence[Layer]) -> int | None:
    """Return the number of axes on which the layers agree, None when all are given by numbers."""
    first: tuple[int, int] | None = None
    for i, layer in enumerate(layers):
        if layer.axes is None:
            continue
        if first is not None and first[1] != layer.axes:
            raise ValueError(
                f"layers must agree on the number of axes; got {first[1]} in layers[{first[0]}] "
                f"and {layer.axes} in layers[{i}]"
            )
        first = first or (i, layer.axes)
    return first[1] if first else None


class Stack:
    """Layers that were read, seen axis by axis: `axes` lists the layers along each of them."""

    def __init__(self, layers: object) -> None:
        self.layers = read(layers)
        self.given_axes = _common_axes(self.layers)
        self.axes = [[layer.axis(i) for layer in self.layers] for i in range(self.given_axes or 1)]

    def spread(self, name: str, value: object, least: int) -> list[int]:
        """Return one integer per axis from a number (the same for each axis) or a tuple."""
        checked = per_axis(name, value, least)
        if not isinstance(checked, tuple):
            return [checked] * len(self.axes)
        if self.given_axes is None or len(checked) != self.given_axes:
            allowed = (
                f"an integer or {self.given_axes} integers, one per axis"
                if self.given_axes
                else "an integer, as the layers are given by numbers and not per axis"
            )
            raise ValueError(f"{name} must be {allowed}; got {told(value)}")
        return list(checked)

    def join(self, values: Iterable[Any]) -> Any:
        """Return a number for layers given by numbers, else a tuple with one entry per axis."""
        entries = tuple(values)
        return entries if self.given_axes else entries[0]


# torch modules, recognised by the names of their classes ----------------------------------------


def _is_module(value: object) -> bool:
    return any(
        base.__name__ == "Module" and base.__module__.startswith("torch.nn")
        for base in type(value).__mro__
    )


def _tuple(value: Any, n: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * n


def _conv(module: Any, n: int) -> Layer:
    padding = module.padding if isinstance(module.padding, str) else _tuple(module.padding, n)
    return Layer(
        _tuple(module.kernel_size, n),
        _tuple(module.stride, n),
        padding,
        _tuple(module.dilation, n),
        padding_mode=module.padding_mode,
    )


def _conv_transpose(module: Any, n: int) -> Layer:
    return Layer(
        _tuple(module.kernel_size, n),
        _tuple(module.stride, n),
        _tuple(module.padding, n),
        _tuple(module.dilation, n),
        transposed=True,
        output_padding=_tuple(module.output_padding, n),
    )


def _pool(module: Any, n: int) -> Layer:
    stride = module.kernel_size if module.stride is None else module.stride
    kernel, padding = _tuple(module.kernel_size, n), _tuple(getattr(module, "padding", 0), n)
    if any(2 * p > k for k, p in zip(kernel, padding, strict=True)):
        raise ValueError(
            f"torch runs no pool whose padding, {padding}, is over half of its kernel, {kernel}"
        )
    return Layer(
        kernel,
        _tuple(stride, n),
        padding,
        _tuple(getattr(module, "dilation", 1), n),
        ceil_mode=bool(module.ceil_mode),
    )


_MODE = {"Zero": "zeros", "Constant": "zeros", "Reflection": "reflect", "Replication": "replicate"}


def _pad(module: Any, n: int) -> Layer:
    kind = type(module).__name__.split("Pad")[0]
    amounts = _tuple(module.padding, 2 * n)
    if min(amounts) < 0:
        raise ValueError(f"padding must be at least 0 on every side; got {amounts}")
    pairs = [(amounts[2 * i], amounts[2 * i + 1]) for i in range(n)]  # torch: last axis first
    return Layer((1,) * n, padding=tuple(reversed(pairs)), padding_mode=_MODE.get(kind, "circular"))


def _shuffle(module: Any, _: int) -> Layer:
    r = module.upscale_factor
    return Layer((r, r), (r, r), transposed=True)


def _exact_in_float32(scale: int) -> bool:
    """Whether torch's floor(o * float32(1 / scale)) is o // scale: up to 40 it is, not at 41."""

    def rounded(x: float) -> float:
        return float(struct.unpack("f", struct.pack("f", x))[0])

    if scale <= 40:
        return True
    step = rounded(1 / scale)
    return all(floor(rounded(i * scale * step)) == i for i in range(1, 4001))


def _upsample(module: Any, _: int) -> Layer:
    mode, factor = module.mode, module.scale_factor
    if factor is None:
        raise ValueError(f"size={module.size} depends on the size of the input")
    if module.align_corners:
        raise ValueError("with align_corners=True the positions depend on the size of the input")
    n = {"linear": 1, "bilinear": 2, "trilinear": 3}.get(mode)
    if n is None and mode not in ("nearest", "nearest-exact"):
        raise ValueError(f"mode {mode!r} is not one of nearest, linear, bilinear, trilinear")
    factors = _tuple(factor, n or 1)
    if any(f < 1 or not float(f).is_integer() for f in factors):
        raise ValueError(f"scale_factor {factor} is not a whole number")
    scales = tuple(int(f) for f in factors)
    if mode == "nearest" and not all(map(_exact_in_float32, scales)):
        raise ValueError(
            f"in float32 torch does not compute the positions behind scale_factor {factor} "
            f"exactly, and some units read a neighbour"
        )
    if n is None and not isinstance(factor, tuple):  # nearest works on any number of axes
        return Layer(scales[0], scales[0], transposed=True)
    if n is None:
        return Layer(scales, scales, transposed=True)
    # Linear interpolation: each value writes a triangle of 2s - 1 (s odd) or 2s (s even) positions.
    widths = tuple(2 * s - s % 2 for s in scales)
    return Layer(widths, scales, tuple(s // 2 for s in scales), transposed=True)


def _no_extent(module: Any, _: int) -> Layer:
    if type(module).__name__ in ("Softmax", "Softmin", "LogSoftmax", "GLU") and module.dim != 1:
        raise ValueError(
            f"dim={module.dim} mixes positions, or may do so; only dim=1, the channels, does not"
        )
    if getattr(module, "track_running_stats", True) is False:
        raise ValueError("without running statistics it normalises over the whole map")
    return Layer(1)


_READERS: dict[str, Callable[[Any, int], Layer]] = {
    **{f"{lazy}Conv{n}d": _conv for n in (1, 2, 3) for lazy in ("", "Lazy")},
    **{f"{lazy}ConvTranspose{n}d": _conv_transpose for n in (1, 2, 3) for lazy in ("", "Lazy")},
    **{f"{kind}Pool{n}d": _pool for n in (1, 2, 3) for kind in ("Max", "Avg", "LP")},
    **{f"{kind}Pad{n}d": _pad for n in (1, 2, 3) for kind in (*_MODE, "Circular")},
    "PixelShuffle": _shuffle,
    "Upsample": _upsample,
    "UpsamplingNearest2d": _upsample,
    **dict.fromkeys(
        """Identity Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout
        BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm LazyBatchNorm1d LazyBatchNorm2d
        LazyBatchNorm3d LocalResponseNorm CrossMapLRN2d ChannelShuffle Softmax2d Softmax Softmin
        LogSoftmax GLU ReLU ReLU6 RReLU LeakyReLU PReLU ELU SELU CELU GELU SiLU Mish Sigmoid
        LogSigmoid Tanh Hardtanh Hardsigmoid Hardswish Hardshrink Softshrink Tanhshrink Softplus
        Softsign Threshold""".split(),  # noqa: SIM905 (forty-five lines say no more)
        _no_extent,
    ),
}

_WHOLE_MAP = {
    "GroupNorm": "normalises over the whole map",
    "LayerNorm": "normalises over the whole of the axes that it is given",
    "InstanceNorm": "normalises over the whole map",
    "Adaptive": "has windows that depend on the size of the input",
    "Linear": "reads the whole of the axis that it acts on",
    "Flatten": "gives up the axes that a receptive field has",
    "MultiheadAttention": "reads every position",
    "PixelUnshuffle": "moves positions into channels, which a list of layers does not follow",
    "ModuleList": "holds modules and does not say in which order they run",
    "ModuleDict": "holds modules and does not say in which order they run",
}


def _read_module(module: Any, place: str, order: str | None) -> list[Layer]:
    """Read one torch module; the loop is over children, so depth of nesting is all that recurs."""
    base = _known_base(module)
    if base is not None and base.__name__ == "Sequential":
        found: list[Layer] = []
        for name, child in _children(module):
            found.extend(_read_module(child, f"{place}.{name}", order))
        return found
    if base is not None:
        reader = _READERS[base.__name__]
        axes = re.search(r"(\d)d$", base.__name__)  # "Conv2d" has two axes
        n = int(axes[1]) if axes else 0
        try:
            layer = reader(module, n)
        except (TypeError, ValueError) as error:
            raise _cannot_place(module, place, str(error)) from None
        return [_named(layer, place)]
    if order == "definition" and next(module.children(), None) is not None:
        warnings.warn(
            f"{place} ({type(module).__name__}) was read in the order in which its layers were "
            f"defined. Its forward may run them in another order, more than once or not at all, "
            f"and then this answer is wrong; rflib.trace follows what forward does.",
            DefinitionOrderWarning,
            stacklevel=4,
        )
        found = []
        for name, child in _children(module):
            found.extend(_read_module(child, f"{place}.{name}", order))
        return found
    raise _cannot_place(module, place, _reason(module))


def _children(module: Any) -> Iterator[tuple[str, Any]]:
    """The children in order, one that stands twice twice: `named_children` tells it once."""
    return ((name, child) for name, child in module._modules.items() if child is not None)


def _known_base(module: Any) -> type | None:
    """Return the torch class whose forward `module` runs, when it is one that we can read."""
    if "forward" in vars(module):  # replaced on this very module
        return None
    for base in type(module).__mro__:
        known = base.__name__ in _READERS or base.__name__ == "Sequential"
        if known and base.__module__.startswith("torch.nn.modules"):
            runs = ("forward", "_conv_forward")
            same = all(getattr(type(module), f, None) is getattr(base, f, None) for f in runs)
            return base if same else None
    return None


def _named(layer: Layer, place: str) -> Layer:
    name = place.split(".", 1)[1] if "." in place else ""
    object.__setattr__(layer, "name", name)
    return layer


def _reason(module: Any) -> str:
    names = [base.__name__ for base in type(module).__mro__]
    for beginning, why in _WHOLE_MAP.items():
        if any(name.startswith((beginning, "Lazy" + beginning)) for name in names):
            return f"it {why}"
    if next(module.children(), None) is not None:
        return (
            "it has a forward of its own, and the order in which layers are defined is not the "
            "order in which they run. Give the layers in the order that forward runs them (or "
            'rflib.read(model, order="definition") for the order of definition, with a warning)'
        )
    return "rflib does not know what its forward reads"


def _cannot_place(module: Any, place: str, why: str) -> TypeError:
    return TypeError(
        f"{place} ({type(module).__name__}) cannot be placed in a list of layers: {why}. "
        f"rflib.trace follows what a module's own forward reads"
    )
