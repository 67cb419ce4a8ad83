"""The shapes that rflib.trace computes by itself are those that torch computes."""

import pytest

torch = pytest.importorskip("torch")
F = torch.nn.functional

from rflib._operators import FAST  # noqa: E402

META = {"device": "meta"}
X = torch.empty(1, 4, 9, 12, **META)
HALF = X.half()
ROWS = torch.empty(2, 5, **META)


def both(name, *args, **more):
    """What FAST says of an operator, and what torch does: shapes, dtypes and strides, or None."""
    packet, _, overload = name.partition(".")
    call = getattr(getattr(torch.ops.aten, packet), overload or "default")
    told = FAST[f"aten::{packet}"](*args, **more)

    def facts(output):
        found = output if isinstance(output, (tuple, list)) else [output]
        return [(tuple(x.shape), x.dtype, x.stride()) for x in found]

    return None if told is None else facts(told), facts(call(*args, **more))


POOLS = [
    ((size, size), stride, (padding, padding), ceil)
    for size in (2, 3, 5)
    for stride in ((1, 1), (2, 3), (4, 4))
    for padding in (0, 1)
    for ceil in (False, True)
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "ceil"), POOLS)
def test_pools(kernel, stride, padding, ceil):
    fast, torchs = both("max_pool2d_with_indices", X, kernel, stride, padding, (1, 1), ceil)
    assert fast == torchs
    fast, torchs = both("avg_pool2d", X, kernel, stride, padding, ceil)
    assert fast == torchs


@pytest.mark.parametrize(
    ("name", "args"),
    [
        *[(name, (X,)) for name in ("relu", "sigmoid", "tanh", "silu", "gelu", "elu")],
        *[(name, (X,)) for name in ("leaky_relu", "hardtanh", "hardswish", "hardsigmoid")],
        ("relu", (HALF,)),
        *[(f"{name}.Tensor", (X, X[:, :1, :1, :1].clone())) for name in ("add", "sub", "mul")],
        ("div.Tensor", (torch.empty(4, 1, 1, **META), X)),
        ("mul.Tensor", (X, torch.empty((), **META))),
        ("add.Tensor", (X, 2)),
        ("max_pool2d_with_indices", (X, (3, 3), (1, 1), (1, 1), (2, 2), True)),
        ("avg_pool2d", (X, [3])),
        ("_adaptive_avg_pool2d", (X, (7, 5))),
        ("mean.dim", (X, [2, 3])),
        ("mean.dim", (X, [-1, -2], True)),
        ("addmm", (torch.empty(3, **META), ROWS, torch.empty(3, 5, **META).t())),
        ("cat", ([X, X[:, :3].clone()], 1)),
        ("cat", ([X, X[..., :3].clone(), X], -1)),
        ("convolution", (X, torch.empty(6, 2, 3, 2, **META), None, (2, 1), (1, 0), (1, 3))),
    ],
)
def test_frequent_operators(name, args):
    if name == "convolution":
        args = (*args, False, (0, 0), 2)
    fast, torchs = both(name, *args)
    assert fast == torchs


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("relu", (X.transpose(1, 2),)),
        ("relu", (torch.empty(3, dtype=torch.int64, **META),)),
        ("add.Tensor", (X, HALF)),
        ("mul.Tensor", (X, 1j)),
        ("cat", ([X, HALF], 1)),
        ("mean.dim", (X, [])),
    ],
)
def test_what_is_left_to_torch(name, args):
    """Other strides, dtypes that torch promotes."""
    assert both(name, *args)[0] is None
