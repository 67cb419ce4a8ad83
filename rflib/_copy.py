"""What `probe` and `effective` are given: arguments checked, and a copy of the model to work on.

The reader's model is never changed; where a closure in it would run a part of it that can change,
`untouched` refuses.  The copy is in eval mode, on the CPU, and the reader's hooks are not on it;
for the probe every parameter is positive.  What cannot be used is refused in words.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from operator import index
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from rflib._linear import ProbeError


class InputSizeError(ValueError):
    """This input is too small for the model, or for the unit; a larger one may do."""


@contextmanager
def apart(dtype: torch.dtype = torch.float64) -> Iterator[None]:
    """Gradients on whatever surrounds the call; torch's random state and types as before."""
    before, state = torch.get_default_dtype(), torch.get_rng_state()
    try:
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast("cpu", enabled=False),
        ):
            torch.set_default_dtype(dtype)
            yield
    finally:
        torch.set_default_dtype(before)
        torch.set_rng_state(state)


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Refuse a forward that would change a module of the reader's: closures hold on to them.

    One that has no buffers, or is in eval mode, may run: torch's do not change then.
    """
    own = {id(module): name for name, module in model.named_modules()}

    def stop(module: nn.Module, _: Any) -> None:
        if id(module) in own and module.training and module._buffers:
            raise ProbeError(
                f"model: its forward runs the reader's own submodule {own[id(module)]!r} and not "
                f"the one of the copy, and would change its buffers, because a function that is "
                f"stored in the model (a lambda, a closure) holds on to it. Make that function a "
                f"method, or call model.eval() before"
            )

    hook = register_module_forward_pre_hook(stop)
    try:
        yield
    finally:
        hook.remove()


def plain_copy(
    model: nn.Module,
    dtype: torch.dtype = torch.float64,
    instead: Mapping[int, Tensor] | None = None,
) -> nn.Module:
    """The model's copy on the CPU, in eval mode, with its own weights, of which none is trained.

    `instead` holds other tensors for some of the model's, by their ids.
    """
    _check_parameters(model)
    loose = {
        id(value): value.detach().clone()  # copy.deepcopy refuses tensors that were computed
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    loose.update(instead or {})
    try:
        twin = copy.deepcopy(model, loose)
    except Exception as error:
        raise TypeError(
            f"model: this {type(model).__name__} cannot be copied by copy.deepcopy, and rflib "
            f"works on a copy only: {type(error).__name__}: {error}"
        ) from error
    twin = twin.cpu().to(dtype).eval().requires_grad_(False)
    for module in twin.modules():
        _drop_hooks(module)
    return twin


def wiring_copy(model: nn.Module) -> nn.Module:
    """The model's copy in float64 with parameters of ones, which take no memory: see `weigh`."""
    one = torch.ones((), dtype=torch.float64)
    ones: dict[int, Tensor] = {}
    for parameter in model.parameters():
        if parameter.is_floating_point() and not nn.parameter.is_lazy(parameter):
            ones[id(parameter)] = nn.Parameter(one.expand(parameter.shape), requires_grad=False)
    return plain_copy(model, instead=ones)


def weigh(twin: nn.Module, seed: int | None) -> None:
    """Give it positive random parameters, or (None) ones again."""
    draw = torch.Generator()
    if seed is not None:
        draw.manual_seed(seed)
    one = torch.ones((), dtype=torch.float64)
    for parameter in twin.parameters():
        if parameter.is_floating_point() and seed is None:
            parameter.data = one.expand(parameter.shape)
        elif parameter.is_floating_point():
            values = torch.rand(parameter.shape, generator=draw, dtype=torch.float64, device="cpu")
            parameter.data = values.add_(0.5)


class Watched:
    """A copy that tells where its forward is, and keeps what one submodule puts out."""

    def __init__(self, model: nn.Module, layer: str) -> None:
        self.model = model
        names = dict(model.named_modules(remove_duplicate=False))
        self.layer, _, call = (layer, "", "") if layer in names else layer.partition("@")
        if self.layer not in names:
            near = get_close_matches(self.layer, names, 5, 0.4) or list(names)[1:6]
            raise ValueError(
                f"layer={layer!r} is not a submodule of this {type(model).__name__}; near it: "
                f"{', '.join(map(repr, near)) or 'it has no submodules'}"
            )
        if call and not (call.isdecimal() and int(call)):
            raise ValueError(f"layer={layer!r}: after @ goes the number of the call, from 1")
        self.call = int(call or 0)  # 0: the last
        self.outputs: list[Any] = []
        self.path: list[str] = []
        for name, module in model.named_modules():
            module.register_forward_pre_hook(lambda *_, name=name: self.path.append(name))
            module.register_forward_hook(lambda *_: (self.path.pop(), None)[1])
        names[self.layer].register_forward_hook(self.keep)

    def keep(self, module: nn.Module, args: Any, output: Any) -> None:
        # A clone, since what comes after may work in place.
        wanted = not self.call or len(self.outputs) + 1 == self.call
        if not self.call:
            self.outputs[:] = [None] * len(self.outputs)
        kept = output.clone() if isinstance(output, Tensor) else output
        self.outputs.append(kept if wanted else None)

    def forward(self, image: Tensor, argument: str = "input_size") -> None:
        """Run it on the image, which the caller has given by that argument."""
        self.outputs.clear()
        self.path.clear()
        try:
            self.model(image.clone())  # it may begin with an operator in place
        except ProbeError:
            raise
        except Exception as error:
            place = f", in submodule {self.path[-1]!r}" if self.path and self.path[-1] else ""
            shape = f"{argument}={tuple(image.shape)}"
            if argument != "input_size":
                shape = f"{argument}, of which one has the shape {tuple(image.shape)}"
            raise InputSizeError(
                f"{shape}: the model's forward fails{place}: {type(error).__name__}: {error}"
            ) from error

    @property
    def what(self) -> str:
        return f"the output of layer {self.layer!r}" if self.layer else "the model's output"

    @property
    def calls(self) -> tuple[int, int]:
        """Which of the layer's calls was kept, and how many there were."""
        return self.call or len(self.outputs), len(self.outputs)

    def output(self) -> Tensor:
        calls = len(self.outputs)
        if not calls:
            raise ValueError(f"layer={self.layer!r} is never called in forward: it has no output")
        if self.call > calls:
            raise ValueError(
                f"layer='{self.layer}@{self.call}': it is called {calls} times, so 1 to {calls}"
            )
        output = self.outputs[self.call - 1]
        if not isinstance(output, Tensor):
            inner = f" with {', '.join(map(repr, output))}" if isinstance(output, dict) else ""
            count = f" of {len(output)}" if isinstance(output, (tuple, list)) else ""
            raise TypeError(
                f"{self.what} is a {type(output).__name__}{count}{inner}, not one tensor: choose "
                f"with layer= a submodule whose output is one tensor"
            )
        if output.dim() < 2 or output.shape[0] != 1 or not output.numel():
            raise ValueError(
                f"{self.what} has the shape {tuple(output.shape)}, not (1, channels, *axes) with "
                f"none of them 0: choose with layer= a submodule with such an output"
            )
        return output

    def gradients(
        self, output: Tensor, leaves: Sequence[Tensor], start: Tensor, again: bool = False
    ) -> Sequence[Tensor]:
        """Those of start * output; `again` keeps the graph for another call."""
        try:
            return torch.autograd.grad(
                output,
                leaves,
                start,
                retain_graph=again,
                allow_unused=True,
                materialize_grads=True,
            )
        except Exception as error:
            raise ProbeError(
                f"the model cannot be differentiated (a checkpoint or an autograd.Function inside "
                f"forward?): {type(error).__name__}: {str(error).splitlines()[0]}"
            ) from error


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
            "model: a ScriptModule runs outside Python, where operators cannot be replaced; "
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
            f"model: forward of {name} needs {len(needed)} inputs ({', '.join(needed)}); it "
            f"gets one. Wrap it in a module whose forward(x) supplies the others as constants"
        )


def _check_parameters(model: nn.Module) -> None:
    for module in model.modules():
        if "quantized" in type(module).__module__.split("."):
            raise TypeError(
                f"model: {type(module).__name__} is quantised and has no float form; take the "
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
                f"model: {name!r} has the type {tensor.dtype}; must be real floating point"
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
    numbers = tuple(whole_number(n, "input_size", size) for n in size)
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
    numbers = tuple(whole_number(n, "unit", unit) for n in ([unit] if one else unit))
    if one and units:
        numbers *= len(units)
    if len(numbers) != len(units):
        raise ValueError(
            f"unit={short(unit)}: give one index per axis of the output "
            f"({times(units) or 'none'}), or one number for all of them"
        )
    for axis, (number, count) in enumerate(zip(numbers, units, strict=True)):
        if not 0 <= number < count:
            kind = ValueError if number < 0 else InputSizeError
            raise kind(f"unit={short(unit)}: axis {axis} has units 0 to {count - 1}")
    return numbers


def whole_number(number: Any, name: str, value: Any) -> int:
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
