"""The catalogue of networks against numbers that others published or that torchvision gave.

The counts of parameters and the shapes in `TORCHVISION` were measured on torchvision 0.29.1, those
in `TIMM` on timm (both with torch 2.14.1, auxiliary heads off).  There each of these networks was
compared with ours: random weights and statistics were copied into ours in the order of the
state_dict, and on a random input in eval mode, at the usual size and at a larger, uneven one, both
gave the same output: to the last bit, but for ViT, whose attention is computed by another kernel
and agreed to 5e-6.  Nothing of that is needed here.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import rflib
from rflib.networks import NAMES, build

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = pytest.mark.slow

TORCHVISION = {  # parameters, shape of the output on the usual input
    "alexnet": (61_100_840, (1, 1000)),
    "vgg11": (132_863_336, (1, 1000)),
    "vgg13": (133_047_848, (1, 1000)),
    "vgg16": (138_357_544, (1, 1000)),
    "vgg19": (143_667_240, (1, 1000)),
    "googlenet": (6_624_904, (1, 1000)),
    "inception_v3": (23_834_568, (1, 1000)),
    "squeezenet1_1": (1_235_496, (1, 1000)),
    "densenet121": (7_978_856, (1, 1000)),
    "resnet18": (11_689_512, (1, 1000)),
    "resnet34": (21_797_672, (1, 1000)),
    "resnet50": (25_557_032, (1, 1000)),
    "resnet101": (44_549_160, (1, 1000)),
    "resnet152": (60_192_808, (1, 1000)),
    "resnext50_32x4d": (25_028_904, (1, 1000)),
    "wide_resnet50_2": (68_883_240, (1, 1000)),
    "mobilenet_v2": (3_504_872, (1, 1000)),
    "mobilenet_v3_large": (5_483_032, (1, 1000)),
    "efficientnet_b0": (5_288_548, (1, 1000)),
    "shufflenet_v2_x1_0": (2_278_604, (1, 1000)),
    "regnet_x_400mf": (5_495_976, (1, 1000)),
    "regnet_y_400mf": (4_344_144, (1, 1000)),
    "convnext_tiny": (28_589_128, (1, 1000)),
    "swin_t": (28_288_354, (1, 1000)),
    "vit_b_16": (86_567_656, (1, 1000)),
    "fcn_resnet50": (32_957_013, (1, 21, 224, 224)),
    "deeplabv3_resnet50": (39_638_869, (1, 21, 224, 224)),
    "r3d_18": (33_371_472, (1, 400)),
}
TIMM = {
    "inception_v4": (42_679_816, (1, 1000)),
    "inception_resnet_v2": (55_843_464, (1, 1000)),
}


def convolutions(*sizes):
    """Weights and biases of convolutions given as (area of the kernel, channels in, out)."""
    return sum(area * before * after + after for area, before, after in sizes)


UNET = convolutions(
    *[(9, 1, 64), (9, 64, 64), (9, 64, 128), (9, 128, 128), (9, 128, 256), (9, 256, 256)],
    *[(9, 256, 512), (9, 512, 512), (9, 512, 1024), (9, 1024, 1024)],
    *[(4, 1024, 512), (9, 1024, 512), (9, 512, 512), (4, 512, 256), (9, 512, 256), (9, 256, 256)],
    *[(4, 256, 128), (9, 256, 128), (9, 128, 128), (4, 128, 64), (9, 128, 64), (9, 64, 64)],
    (1, 64, 2),
)
OTHERS = {
    "mobilenet_v1": (4_253_864 - 21_888, (1, 1000)),  # Keras counts 21,888 statistics as well
    "inception_v2": (11_188_288, (1, 1000)),  # ours: we know of no published count
    "unet": (UNET, (1, 2, 512, 512)),
    "patchgan": (2_768_705, (1, 1, 30, 30)),  # pix2pix prints 2.769 M
    "espcn": (convolutions((25, 1, 64), (9, 64, 32), (9, 32, 9)), (1, 1, 192, 192)),
    "wavenet": (
        convolutions((2, 256, 32), (1, 256, 256), (1, 256, 256))
        + 30 * convolutions((2, 32, 32), (2, 32, 32), (1, 32, 32), (1, 32, 256)),
        (1, 256, 4096),
    ),
    "tcn": (
        convolutions((7, 1, 25), *[(7, 25, 25)] * 15, (1, 1, 25), (1, 25, 10)),
        (1, 10, 784),
    ),
}
EXPECTED = TORCHVISION | TIMM | OTHERS
SIBLINGS = ("vgg11", "vgg13", "vgg19", "resnet34", "resnet101", "resnet152", "wide_resnet50_2")


def on_meta(name, **options):
    with torch.device("meta"):
        return build(name, **options).eval()


def shape_of(net, size):
    return tuple(net(torch.zeros(size, device="meta")).shape)


# --- the catalogue --------------------------------------------------------------------------------


def test_the_catalogue_needs_the_standard_library_alone():
    code = (
        "import sys; from rflib.networks import NAMES; print(*NAMES.values(), sep='\\n'); "
        "assert 'torch' not in sys.modules"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "U-Net (Ronneberger et al. 2015); input 1×1×512×512" in told.stdout.splitlines()


def test_every_network_is_counted_above():
    assert set(EXPECTED) == set(NAMES)


def test_every_paper_is_in_the_references():
    written = (Path(__file__).parents[1] / "chapters" / "references.bib").read_text()
    entries = {
        key: int(year)
        for key, year in re.findall(r"@\w+\{(\w+),.*?year\s*= \{(\d+)\}", written, re.DOTALL)
    }
    for known in NAMES.values():
        assert known.source.endswith(f" {entries[known.cite]}")


@pytest.mark.parametrize("name", NAMES)
def test_parameters_and_output(name):
    parameters, output = EXPECTED[name]
    net = on_meta(name)
    assert sum(p.numel() for p in net.parameters()) == parameters
    assert shape_of(net, NAMES[name].input_size) == output


@pytest.mark.parametrize("name", [name for name in NAMES if name != "vit_b_16"])
def test_other_sizes_and_classes(name):
    """A classifier answers in the same shape, the others in one that grows with the input."""
    _, output = EXPECTED[name]
    size = NAMES[name].input_size
    grown = (*size[:2], *(side + 64 for side in size[2:]))
    answers = name in TORCHVISION | TIMM
    found = shape_of(on_meta(name, **({"classes": 7} if answers else {})), grown)
    assert found[:2] == (1, 7 if answers else output[1])
    assert all(new > old for new, old in zip(found[2:], output[2:], strict=True))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SIBLINGS])
def test_every_family_runs(name):
    """On numbers, at half the usual size: no NaN, and in eval mode a batch's images do not meet."""
    torch.manual_seed(0)
    net = build(name).eval()
    _, channels, *axes = NAMES[name].input_size
    if len(axes) > 1 and name != "vit_b_16":
        axes[-2:] = (side // 2 for side in axes[-2:])
    x = torch.randn(2, channels, *axes)
    with torch.no_grad():
        both, alone = net(x), net(x[:1])
    assert both.isfinite().all()
    torch.testing.assert_close(both[:1], alone, rtol=1e-3, atol=1e-4)


# --- fields ---------------------------------------------------------------------------------------


def units_that_see(net, layer, size, places, axis=2):
    """For each place along an axis, the units that turn NaN when it does: NaN stays NaN.

    The places are images of one batch, which do not meet.
    """
    x = torch.zeros(len(places), *size)
    for image, place in zip(x, places, strict=True):
        image.select(axis - 1, place).fill_(float("nan"))
    seen = {}
    handle = net.get_submodule(layer).register_forward_hook(lambda m, i, o: seen.update(out=o))
    with torch.no_grad():
        net(x)
    handle.remove()
    nan = seen["out"].isnan()
    along = nan.any(dim=[other for other in range(1, nan.dim()) if other != axis])
    return [units.nonzero().flatten().tolist() for units in along]


def check_field(net, layer, size, axis, field, jump, start):
    """Unit u sees [start + u * jump, start + u * jump + field) and no more, u the first unclipped.

    size: (channels, *axes), where the axis in question is made long enough.
    """
    unit = -((start - 1) // jump)
    first = start + unit * jump
    last = first + field - 1
    length = (last // jump + 2) * jump
    size = [*size[: axis - 1], length, *size[axis:]]
    before, at_first, at_last, behind = units_that_see(
        net, layer, size, (first - 1, first, last, last + 1), axis
    )
    assert unit in at_first
    assert unit in at_last
    assert unit not in before
    assert unit not in behind


@pytest.mark.parametrize(
    ("name", "layer", "width", "field", "jump", "start"),
    [
        # Published with their padding, which is -start (Araujo et al. 2019).
        ("mobilenet_v1", "features", 32, 315, 32, -126),
        ("vgg16", "features", 32, 212, 32, -90),
        ("inception_v2", "Mixed_5c", 32, 699, 32, -318),
        ("inception_v3", "Mixed_7c", 75, 1311, 32, -618),
        ("inception_v4", "Mixed_7d", 75, 2071, 32, -998),
        ("inception_resnet_v2", "Conv2d_7b_1x1", 75, 3039, 32, -1482),
        # Published size; the padding is torchvision's.
        ("alexnet", "features", 63, 195, 32, -66),
        ("resnext50_32x4d", "layer4", 32, 427, 32, -213),
        # Dilation in place of stride keeps the field and makes the jump smaller.
        ("fcn_resnet50", "backbone", 16, 427, 8, -213),
    ],
)
def test_published_fields(name, layer, width, field, jump, start):
    net = build(name).eval()
    check_field(net, layer, (NAMES[name].input_size[1], 0, width), 2, field, jump, start)


@pytest.mark.parametrize(
    ("name", "layer", "field"),
    [
        ("alexnet", "features", 195),
        ("vgg19", "features", 268),
        ("inception_v3", "Mixed_7c", 1311),
        ("inception_v4", "Mixed_7d", 2071),
    ],
)
def test_trace_finds_the_field_on_the_usual_input(name, layer, field):
    """There it is clipped; the row in front of the classifier is no reason to stop at that size."""
    found = rflib.trace(on_meta(name), NAMES[name].input_size)[layer]
    assert (found.size, found.jump) == ((field, field), (32, 32))
    assert found.clipped == (False, False)


@pytest.mark.parametrize(("strided", "patch"), [(1, 16), (2, 34), (3, 70), (5, 286)])
def test_patches_of_the_discriminator(strided, patch):
    """Isola et al. 2017 name their discriminators by these sizes.

    4x4 with a padding of 1: a layer's first window starts one of its input's steps outside.
    """
    net = build("patchgan", strided=strided, width=2).eval()
    jump = 2**strided
    start = -sum(2**layer for layer in range(strided)) - 2 * jump
    check_field(net, f"conv{strided + 2}", (6, 0, 4 * jump), 2, patch, jump, start)


@pytest.mark.parametrize("name", ["wavenet", "tcn"])
@pytest.mark.parametrize("kernel", [2, 3])
def test_nothing_looks_ahead(name, kernel):
    """One sample reaches itself and as many after it as the formula in the docstring says."""
    if name == "wavenet":
        net = build(name, levels=2, width=2, skip=2, kernel=kernel, layers=4, stacks=2)
        size = 1 + (kernel - 1) * (1 + 2 * (2**4 - 1))
    else:
        net = build(name, channels=2, width=2, kernel=kernel, blocks=4)
        size = 1 + 2 * (kernel - 1) * (2**4 - 1)
    (units,) = units_that_see(net.eval(), "head", (2, 200), [60])
    assert units == list(range(60, 60 + size))


def test_space_and_time_of_a_video_network():
    net = build("r3d_18", classes=1).eval()
    # stem 3, or 7 at stride 2; layer1 four 3; layer2 one 3 at stride 2, three 3
    time = 1 + 2 + 4 * 2 + (2 + 3 * 4)
    rows = 1 + 6 + 4 * 4 + (4 + 3 * 8)
    check_field(net, "layer2", (3, 0, 8, 8), 2, time, 2, -(time // 2))
    check_field(net, "layer2", (3, 4, 0, 8), 3, rows, 4, -(rows // 2))


# --- one by one -----------------------------------------------------------------------------------


def test_the_unpadded_unet_is_the_papers():
    """572 pixels become 388 (Ronneberger et al. 2015, figure 1)."""
    assert shape_of(on_meta("unet", padded=False), (1, 1, 572, 572)) == (1, 2, 388, 388)


def test_unet_upsampling():
    """Units of four levels see 188 or 204 pixels by their phase; interpolation reads neighbours."""
    middle, seen = range(256, 272), {}
    for up in ("transposed", "nearest", "bilinear"):
        net = build("unet", up=up, width=1).eval()
        units = units_that_see(net, "head", (1, 512, 16), range(512))
        seen[up] = [{place for place in range(512) if unit in units[place]} for unit in middle]
    sizes = [len(places) for places in seen["transposed"]]
    assert sorted(sizes) == [188] * 4 + [204] * 12
    assert all(max(places) - min(places) + 1 in (188, 204) for places in seen["transposed"])
    assert seen["nearest"] == seen["transposed"]
    assert all(more > less for more, less in zip(seen["bilinear"], seen["nearest"], strict=True))


def test_the_common_googlenet_has_3x3_where_the_paper_has_5x5():
    three, five = on_meta("googlenet"), on_meta("googlenet", widest=5)
    assert three.inception3a.branch3[1].conv.kernel_size == (3, 3)
    assert five.inception3a.branch3[1].conv.kernel_size == (5, 5)
    assert shape_of(three.inception3a, (1, 192, 9, 9)) == shape_of(five.inception3a, (1, 192, 9, 9))


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [7, 8, 9, 10, 12])
def test_same_padding_is_the_least_that_makes_enough_outputs(kernel, stride, size):
    from rflib._zoo._same import SamePad

    padded = SamePad(kernel, stride, value=1.0)(torch.zeros(1, 1, size, size + 1))
    for axis, side in ((2, size), (3, size + 1)):
        length, wanted = padded.shape[axis], -(-side // stride)
        inside = (padded[0, 0] == 0).any(dim=3 - axis).nonzero().flatten()
        before, after = int(inside[0]), length - 1 - int(inside[-1])
        assert (length - kernel) // stride + 1 == wanted
        assert before + after == 0 or (length - 1 - kernel) // stride + 1 < wanted
        assert after - before in (0, 1)


def test_attention_is_that_of_torch():
    from rflib._zoo.attention import SelfAttention

    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(12, 3, batch_first=True)
    ours = SelfAttention(12, 3)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 5, 12)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


@pytest.mark.parametrize("shift", [False, True])
@pytest.mark.parametrize("sides", [(14, 21), (15, 7)])
def test_who_meets_whom_in_a_window(shift, sides):
    """Change one position: those that share its window change, and none that the roll brought.

    Shifted by 3, the first window of an axis has 3 positions; an axis of one window is not shifted.
    """
    from rflib._zoo.attention import WindowAttention

    torch.manual_seed(0)
    net = WindowAttention(8, 2, shift).double()
    x = torch.randn(1, *sides, 8, dtype=torch.float64)
    rows, columns = (
        [(place + (4 if shift and side > 7 else 0)) // 7 for place in range(side)] for side in sides
    )
    for row, column in ((0, 0), (2, 3), (3, 6), (sides[0] - 1, sides[1] - 1)):
        other = x.clone()
        other[0, row, column] += 1
        changed = (net(x) != net(other)).any(dim=-1)[0].tolist()
        assert changed == [
            [rows[r] == rows[row] and columns[c] == columns[column] for c in range(sides[1])]
            for r in range(sides[0])
        ]


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: build("resnet-50"), ValueError, "near: resnet50"),
        (lambda: build("VGG16"), ValueError, "near: vgg16"),
        (lambda: build("swin_tiny"), ValueError, "near: swin_t"),
        (lambda: build("zzz"), ValueError, "name is 'zzz'; nothing is near; allowed: those in"),
        (lambda: build(16), TypeError, "name must be a string; got 16"),
        (lambda: build("vgg16", depth=19), ValueError, "'depth' is no option of 'vgg16'; allowed"),
        (lambda: build("unet", padding=0), ValueError, "allowed: classes, channels, width, levels"),
        (lambda: build("alexnet", classes=0), ValueError, "classes must be"),
        (lambda: build("unet", up="cubic"), ValueError, "up is 'cubic'; allowed: 'transposed'"),
        (lambda: build("unet", padded=1), TypeError, "padded must be True or False"),
        (lambda: build("unet", levels=0), ValueError, "levels must be"),
        (lambda: build("googlenet", widest=7), ValueError, "widest is 7; allowed: 3, 5"),
        (lambda: build("wavenet", stacks=0), ValueError, "stacks must be"),
        (lambda: build("tcn", kernel="7"), TypeError, "kernel must be"),
        (lambda: build("espcn", scale=0), ValueError, "scale must be"),
        (lambda: build("patchgan", width=-1), ValueError, "width must be"),
        (
            lambda: shape_of(on_meta("unet"), (1, 1, 100, 96)),
            ValueError,
            "a map of (25, 24) before pool 3",
        ),
        (
            lambda: shape_of(on_meta("vit_b_16"), (1, 3, 240, 224)),
            ValueError,
            "x has (240, 224) pixels; allowed: (224, 224)",
        ),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)
