"""The positive linear twin: any torch forward, with every operator made a mean of what it reads.

A gradient shows influence only if nothing cancels, switches off, over- or underflows.  So while
`Twin` is active, each operator is replaced by a positive linear one with the same wiring: products
and differences become means, activations the identity, a max-pool the mean of its windows, a norm
the mean of all that it normalises.  Whatever depends on the image stays a float tensor with a
gradient, masks and indices too, so that nothing is lost on the way.  RULES has one rule for each
operator (as torch.utils.flop_counter has one formula); an operator without a rule is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class ProbeError(RuntimeError):
    """The model does what a gradient probe cannot follow; the message says what and where."""


Rule = Callable[..., Any]  # (twin, func, and func's own arguments by torch's own names)
RULES: dict[str, Rule] = {}


def rule(names: str) -> Callable[[Rule], Rule]:
    """Register a function as the twin of these operators, whatever their underscores."""

    def register(function: Rule) -> Rule:
        for name in names.split():
            if name in RULES:
                raise ValueError(f"the operator {name} has two rules")
            RULES[name] = function
        return function

    return register


class Twin(TorchFunctionMode):
    """Replaces operators on tensors that depend on the input (those that require a gradient).

    edges : (axes, 2) leaf.  A unit whose window hangs over an end of the map reads that end's
        entry, so a gradient there says that a border clips the field.
    binary : while True, a backward pass knows 0 and 1 only: after each operator every nonzero
        gradient is set to 1.  So the support is exact at any depth.
    zeros : whether constants with zeros (a masked convolution, say) hid any path.
    """

    def __init__(self, axes: int, path: list[str]) -> None:
        super().__init__()
        self.axes, self.path = axes, path
        self.edges = torch.zeros(axes, 2, dtype=torch.float64, requires_grad=True)
        self.binary = False
        self.zeros = False
        self.wholes: list[Whole] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = operator_name(func)
        if name == "set_grad_enabled":  # a no_grad block hides no influence
            return None
        if not any(t.requires_grad for t in tensors((args, kwargs))):
            return func(*args, **kwargs)
        if name in READS_VALUES:
            raise ProbeError(
                f"{self.label(name)} hands numbers that depend on the image to Python, and the "
                f"probe cannot follow what they decide. {INSTEAD}"
            )
        if name in LENDS:
            numbers = (args[1:], kwargs) if name == "new_tensor" else args[:1]
            if not any(t.requires_grad for t in tensors(numbers)):
                return func(*args, **kwargs)
        twin = RULES.get(name)
        if twin is None:
            return self.without_rule(name, func(*args, **kwargs))
        result = twin(self, func, *args, **kwargs)
        if in_place(func) and result is not args[0]:
            result = args[0].copy_(result)
        self.watch(name, args[0] if result is None else result, args)
        return result

    def without_rule(self, name: str, result: Any) -> Any:
        if name in SHAPE_ONLY or not any(True for _ in tensors(result)):
            return result
        raise ProbeError(
            f"rflib.probe has no rule for {self.label(name)}, so it cannot tell what that reads. "
            f"{INSTEAD}"
        )

    def watch(self, name: str, result: Any, given: Any = ()) -> None:
        found = list(tensors(result))
        if name == "broadcast_tensors":  # each of the results is one of the arguments
            sources = list(tensors(given))
            found = [out for out, one in zip(found, sources, strict=True) if one.requires_grad]
        for tensor in found:
            if not tensor.requires_grad:
                raise ProbeError(
                    f"{self.label(name)} gives a result without gradient (an inference_mode block, "
                    f"a custom autograd.Function or another type of numbers), so the probe would "
                    f"lose what it reads. {INSTEAD}"
                )
            on_gradient(tensor, self.saturate)

    def saturate(self, gradient: Tensor) -> Tensor | None:
        return (gradient != 0).to(gradient.dtype) if self.binary else None

    def label(self, name: str) -> str:
        place = f"submodule {self.path[-1]!r}" if self.path and self.path[-1] else "forward"
        return f"{name} (in {place})"

    def refuse(self, func: Any, what: str) -> None:
        raise ProbeError(
            f"{self.label(operator_name(func))} takes {what} that depend on the image. Which "
            f"pixels a unit reads then differs from image to image. {INSTEAD}"
        )

    def whole(self, func: Any, out: Tensor, merged: int) -> Tensor:
        """Note that this operator merges so many positions, and whether the unit depends on it."""
        note = Whole(self.label(operator_name(func)), merged)
        self.wholes.append(note)
        on_gradient(out, note.reach)
        return out

    def border(
        self,
        out: Tensor,
        sizes: Sequence[int],
        reach: Sequence[float],
        step: Sequence[float],
        before: Sequence[float],
    ) -> Tensor:
        """Let units whose window begins before 0 or ends behind the map's `sizes` read `edges`."""
        if out.dim() != self.axes + 2 or len(sizes) != self.axes:
            return out  # a map of another kind, say channels in a row: its ends are not the image's
        ends: Any = 0.0
        for axis, size in enumerate(sizes):
            first = torch.arange(out.shape[2 + axis]) * step[axis] - before[axis]
            hangs = torch.stack([first < 0, first + reach[axis] >= size], dim=1).to(torch.float64)
            if hangs.any():
                ends = ends + (hangs @ self.edges[axis]).view(-1, *[1] * (self.axes - 1 - axis))
        return out if isinstance(ends, float) else out + ends


class Whole:
    """An operator that merges positions, whose number may grow with the image."""

    def __init__(self, label: str, merged: int) -> None:
        self.label, self.merged, self.reached = label, merged, False

    def reach(self, gradient: Tensor) -> None:
        self.reached = self.reached or bool(gradient.any())


INSTEAD = "Take this step out of forward, or probe a submodule before it (layer=...)"
SHAPE_ONLY = frozenset(
    {"zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", ".grad"}
    | {"new", "new_zeros", "new_ones", "new_empty", "new_full"}
)
# One argument gives the numbers: the first, of new_tensor what follows; the image may be another
# and lend its shape or its type of numbers.
LENDS = frozenset({"to", "type_as", "expand_as", "view_as", "reshape_as", "new_tensor"})
READS_VALUES = frozenset(
    {"item", "tolist", "numpy", "is_nonzero", "equal", "allclose", "__contains__", "__array__"}
    | {"__bool__", "__int__", "__float__", "__index__", "__complex__"}
)


def operator_name(func: Any) -> str:
    """The bare name: relu for F.relu, torch.relu_, Tensor.relu_; .data for the attribute."""
    name = str(getattr(func, "__name__", func))
    if name in ("__get__", "__set__"):
        return f".{func.__self__.__name__}{'' if name == '__get__' else ' = ...'}"
    return name if name in READS_VALUES else name.strip("_")


def in_place(func: Any) -> bool:
    """Whether it is one of torch's operators that write into their first argument."""
    name = str(func.__name__)
    return name.endswith("_") and not name.endswith("__")


def forget_values() -> torch.autograd.graph.saved_tensors_hooks:
    """Lets autograd keep shapes in place of activations: no gradient of the twin needs values."""

    def unpack(kept: Tensor | torch.Size) -> Tensor:
        return kept if isinstance(kept, Tensor) else torch.zeros(1).expand(kept)

    return torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: tensor.shape if tensor.requires_grad else tensor, unpack
    )


def on_gradient(tensor: Tensor, function: Callable[[Tensor], Tensor | None]) -> None:
    tensor.register_hook(function)  # type: ignore[no-untyped-call]


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in a nest of arguments, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))
