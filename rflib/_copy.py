"""What the probe is given: its arguments checked, and a copy of the model to work on.

The reader's model is never run and never changed.  The copy is in float64, in eval mode, on the
CPU, and every parameter is positive.  What cannot be used is refused in words.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Sequence
from operator import index
from typing import Any

import torch
from torch import Tensor, nn


class InputSizeError(ValueError):
    """This input is too small for the model, or for the unit; a larger one may do."""


def positive_copy(model: nn.Module, seed: int) -> nn.Module:
    """The model's copy on the CPU in float64, in eval mode, with positive random parameters."""
    _check_parameters(model)
    loose = {
        id(value): value.detach().clone()  # copy.deepcopy refuses tensors that were computed
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    try:
        twin = copy.deepcopy(model, loose)
    except Exception as error:
        raise TypeError(
            f"model: this {type(model).__name__} cannot be copied by copy.deepcopy, and the probe "
            f"works on a copy only: {type(error).__name__}: {error}"
        ) from error
    twin = twin.cpu().double().eval().requires_grad_(False)
    draw = torch.Generator().manual_seed(seed)
    for parameter in twin.parameters():
        if parameter.is_floating_point():
            values = torch.rand(parameter.shape, generator=draw, dtype=torch.float64, device="cpu")
            parameter.data = values + 0.5
    for module in twin.modules():
        _drop_hooks(module)
    return twin


def _drop_hooks(module: nn.Module) -> None:
    """The reader's hooks write where the reader looks. Those of torch compute weights, and stay."""
    for kind in ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks"):
        hooks = getattr(module, kind)
        for key, hook in list(hooks.items()):
            if not type(hook).__module__.startswith("torch.nn.utils"):
                del hooks[key]


def check_arguments(model: Any, layer: Any, seed: Any) -> None:
    if isinstance(model, (list, tuple)):
        raise TypeError(
            f"model={short(model)}: a {type(model).__name__}; wrap modules in "
            f"nn.Sequential(*model), and give layers in numbers to rflib.recurrence"
        )
    if not isinstance(model, nn.Module):
        made = isinstance(model, type) and issubclass(model, nn.Module)
        hint = f"; make one first: {model.__name__}(...)" if made else ""
        raise TypeError(f"model={short(model)}: must be a torch.nn.Module{hint}")
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise TypeError(
            "model: a ScriptModule runs outside Python, where the probe cannot replace operators; "
            "give the module that it was scripted from"
        )
    _check_forward(model)
    if layer is not None and not isinstance(layer, str):
        raise TypeError(f"layer={short(layer)}: must be the path of a submodule, or None")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise TypeError(f"seed={short(seed)}: must be an int from 0")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed={seed}: must lie between 0 and 2**63 - 1")


def _check_forward(model: nn.Module) -> None:
    name = type(model).__name__
    if type(model).forward is nn.Module.forward:
        raise TypeError(
            f"model: {name} has no forward of its own; wrap it in nn.Sequential or run it"
        )
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    given = [p for p in inspect.signature(model.forward).parameters.values() if p.kind not in kinds]
    needed = [p.name for p in given if p.default is inspect.Parameter.empty]
    if len(needed) > 1:
        raise TypeError(
            f"model: forward of {name} needs {len(needed)} inputs ({', '.join(needed)}); the probe "
            f"gives one. Wrap it in a module whose forward(x) supplies the others as constants"
        )


def _check_parameters(model: nn.Module) -> None:
    for module in model.modules():
        if "quantized" in type(module).__module__.split("."):
            raise TypeError(
                f"model: {type(module).__name__} is quantised and has no float form; probe the "
                f"model from before quantisation"
            )
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if nn.parameter.is_lazy(tensor):
            raise TypeError(f"model: {name!r} is not initialised; run the model once on an input")
        if tensor.is_meta:
            raise TypeError(
                f"model: {name!r} lies on the meta device and has no numbers; load them"
            )
        if tensor.is_complex() or tensor.is_quantized:
            raise TypeError(
                f"model: {name!r} has the type {tensor.dtype}; the probe needs real floating point"
            )


def first_convolution(model: nn.Module) -> tuple[int, int]:
    """Channels and axes of the input, from the first convolution in order of definition."""
    convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    for module in model.modules():
        if isinstance(module, (*convolutions, *transposed)):
            return module.in_channels, module.weight.dim() - 2
    raise ValueError(
        f"input_size=None: {type(model).__name__} has no convolution module that would tell the "
        f"input's channels and axes; give input_size=(1, channels, *axes)"
    )


def checked_size(size: Any) -> tuple[int, ...]:
    wanted = "must be (1, channels, *axes) with one to three axes, such as (1, 3, 224, 224)"
    if isinstance(size, (str, bytes)) or not isinstance(size, Sequence):
        raise TypeError(f"input_size={short(size)}: {wanted}")
    numbers = tuple(_whole_number(n, "input_size", size) for n in size)
    if not 3 <= len(numbers) <= 5:
        raise ValueError(f"input_size={short(size)}: {wanted}")
    if numbers[0] != 1:
        raise ValueError(
            f"input_size={short(size)}: the batch is {numbers[0]}, must be 1; {wanted}"
        )
    if min(numbers) < 1:
        raise ValueError(f"input_size={short(size)}: every entry must be at least 1")
    return numbers


def checked_unit(unit: Any, units: tuple[int, ...]) -> tuple[int, ...]:
    if unit is None:
        return centre(units)
    one = not isinstance(unit, (tuple, list, torch.Size))
    numbers = tuple(_whole_number(n, "unit", unit) for n in ([unit] if one else unit))
    if len(numbers) != len(units):
        raise ValueError(
            f"unit={short(unit)}: {len(numbers)} numbers, but the output has {len(units)} axes: "
            f"{times(units) or 'none'}"
        )
    for axis, (number, count) in enumerate(zip(numbers, units, strict=True)):
        if not 0 <= number < count:
            kind = ValueError if number < 0 else InputSizeError
            raise kind(f"unit={short(unit)}: axis {axis} has units 0 to {count - 1}")
    return numbers


def _whole_number(number: Any, name: str, value: Any) -> int:
    try:
        if not isinstance(number, (bool, Tensor)):
            return index(number)
    except TypeError:
        pass
    raise TypeError(f"{name}={short(value)}: {short(number)} is not a whole number")


def centre(units: Sequence[int]) -> tuple[int, ...]:
    return tuple(n // 2 for n in units)


def times(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


def short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
