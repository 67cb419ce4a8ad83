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


CHANNELS, WIDE = torch.empty(4, **META), torch.empty(2, 4, 6, 5, **META)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("convolution", (X, (4, 3, 3, 2), (2, 1), (1, 0), (1, 3), True, (1, 2), 2)),
        ("convolution", (X[:, :, 0], (4, 2, 4), (2,), (1,), (1,), True, (0,), 1)),
        ("stack", ([X, X, X], 0)),
        ("stack", ([X, X], -1)),
        ("native_layer_norm", (X, [9, 12], None, None, 1e-5)),
        ("native_layer_norm", (X.permute(0, 2, 3, 1), [4], CHANNELS, CHANNELS, 1e-5)),
        ("native_group_norm", (X, None, None, 1, 4, 108, 2, 1e-5)),
        ("upsample_nearest1d", (X[:, :, 0].clone(), [7])),
        ("upsample_nearest2d", (X, [18, 24], 2.0, 2.0)),
        ("upsample_nearest3d", (X[None].clone(), [4, 5, 6])),
        ("upsample_linear1d", (X[:, :, 0].clone(), [7], False)),
        ("upsample_bilinear2d", (X, [5, 30], True)),
        ("upsample_trilinear3d", (X[None].clone(), [4, 5, 6], False)),
        ("upsample_bicubic2d", (X, [18, 24], False)),
        ("pixel_shuffle", (X, 2)),
        ("pixel_unshuffle", (X, 3)),
        ("_softmax", (X, 1, False)),
        ("clamp", (X, 0, 1)),
        ("pow.Tensor_Scalar", (X, 2)),
        ("mish", (X,)),
        ("softplus", (X,)),
        ("_prelu_kernel", (X, CHANNELS.view(1, 4, 1, 1))),
        ("sqrt", (X,)),
        ("mul.Tensor", (X.permute(0, 2, 3, 1), CHANNELS)),
        ("mul.Tensor", (CHANNELS.view(4, 1, 1), WIDE.mT)),
        ("add.Tensor", (WIDE.permute(0, 3, 1, 2), WIDE.permute(0, 3, 1, 2))),
        ("gelu", (WIDE.permute(0, 2, 3, 1),)),
        ("relu", (X.transpose(1, 2),)),
        ("add.Tensor", (X, X.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2))),
        ("add.Tensor", (X.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2), X)),
        ("mul.Tensor", (WIDE.mT.contiguous().mT, WIDE[:1])),
        ("mm", (ROWS, ROWS.t())),
        ("bmm", (WIDE[0], WIDE[0].mT)),
        ("where.self", (torch.empty(9, 12, dtype=torch.bool, **META), X, X)),
        ("masked_fill.Scalar", (X, torch.empty(9, 12, dtype=torch.bool, **META), 0.0)),
        ("flip", (X, [2])),
        ("roll", (X, [2, 1], [2, 3])),
        ("reflection_pad1d", (X[:, :, 0].clone(), [2, 1])),
        ("reflection_pad2d", (X, [2, 1, 0, 3])),
        ("replication_pad3d", (X[None].clone(), [2, 1, 0, 3, 1, 1])),
    ],
)
def test_operators_whose_shapes_torch_writes_in_python(name, args):
    """On the CPU, where users run them: what is written in Python may lay results otherwise."""
    fast, _ = both(name, *placed(args, "meta"))
    _, torchs = both(name, *placed(args, "cpu"))
    assert fast == torchs


def placed(args, device):
    """The arguments on a device; a transposed one stays so; shapes of weights made into weights."""
    found = []
    for value in args:
        if isinstance(value, torch.Tensor):
            like = {"dtype": value.dtype, "device": device}
            value = torch.empty_strided(value.shape, value.stride(), **like).fill_(0.5)
        elif isinstance(value, list) and isinstance(value[0], torch.Tensor):
            value = placed(value, device)
        found.append(value)
    if len(args) > 2 and isinstance(args[1], tuple) and len(args[1]) > 2:
        weight = torch.empty(args[1], device=device).fill_(0.5)
        found[1:2] = [weight, None]
    return found


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("relu", (X[..., ::2],)),
        ("mul.Tensor", (WIDE[:1].mT.contiguous().mT, WIDE)),
        ("relu", (torch.empty(3, dtype=torch.int64, **META),)),
        ("add.Tensor", (X, HALF)),
        ("mul.Tensor", (X, 1j)),
        ("cat", ([X, HALF], 1)),
        ("mean.dim", (X, [])),
        ("stack", ([X, X.mT.contiguous().mT],)),
        ("upsample_nearest2d", (X.transpose(2, 3), [18, 24])),
        ("_softmax", (HALF, 1, True)),
    ],
)
def test_what_is_left_to_torch(name, args):
    """Other strides, dtypes that torch promotes."""
    assert both(name, *args)[0] is None
