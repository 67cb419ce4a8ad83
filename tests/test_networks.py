"""The networks: their descriptions against published numbers, and against the torch modules."""

import subprocess
import sys

import pytest

import rflib
from rflib import networks
from rflib.networks import Conv, Pool, Stem, costs, padding_for, resnet_path, stages, stem

torch = pytest.importorskip("torch")
nn = torch.nn


def layers_of(path):
    return [layer for stage in path.values() for layer in stage]


def test_descriptions_need_the_standard_library_alone():
    code = "import sys, rflib.networks as n; n.stages(50); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- stems ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "weights", "sizes", "jump", "output"),
    [
        ("resnet", 9_408, (7, 11), 4, 56),
        ("deep", 28_512, (3, 7, 11, 15), 4, 56),
        ("three", 75_456, (3, 5, 7), 1, 224),
        ("three-narrow", 28_512, (3, 5, 7), 1, 224),
        ("three-first", 75_456, (3, 7, 11, 15), 4, 56),
        ("three-last", 75_456, (3, 5, 7, 11), 4, 56),
        ("patchify", 3_072, (4,), 4, 56),
        ("cifar", 1_728, (3,), 1, 224),
        ("mobile", 864, (3,), 2, 112),
    ],
)
def test_stems(name, weights, sizes, jump, output):
    spent = costs(name)
    assert spent.weights == weights
    assert tuple(layer.size for layer in spent.layers) == sizes
    assert (spent.size, spent.jump, spent.output) == (sizes[-1], jump, output)
    assert spent.activation_bytes == 4 * spent.activations


def test_every_stem_is_named_above():
    (mark,) = test_stems.pytestmark
    assert {case[0] for case in mark.args[1]} == set(networks.STEMS)


@pytest.mark.parametrize("name", networks.STEMS)
def test_costs_are_those_of_the_torch_module(name):
    """Weights, outputs and multiply-adds counted by torch itself, on its own forward."""
    from torch.utils.flop_counter import FlopCounterMode

    made, image = stem(name), 64
    net = networks.resnet(18, stem=made).eval()
    seen = []
    for module in net.conv1.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda m, i, out: seen.append(out.numel()))
    with torch.device("meta"):
        x = torch.zeros(1, 3, image, image)
    net.to("meta")
    with FlopCounterMode(display=False) as counter:
        out = net.maxpool(net.conv1(x))
    spent = costs(made, image)
    assert spent.weights == sum(p.numel() for n, p in net.conv1.named_parameters() if p.dim() == 4)
    assert 2 * spent.multiply_adds == counter.get_total_flops()
    assert spent.activations == sum(seen) + (out.numel() if made.pool else 0)
    assert tuple(out.shape) == (1, made.channels, spent.output, spent.output)


def test_first_layer_and_pool_are_free():
    assert str(stem("deep", kernel=5, stride=4, pool=False)) == (
        "deep: 5×5/4 3→32, 3×3 32→32, 3×3 32→64"
    )
    assert stem("cifar", pool=True).pool == Pool(3, 2, 1)
    assert stem("resnet") == networks.STEMS["resnet"]


def test_224_becomes_112_with_padding_3_only():
    assert rflib.output_size([Conv(7, 3, 64, 2, padding_for(7, 2)).layer], 224) == 112
    assert rflib.output_size([Conv(7, 3, 64, 2).layer], 224) == 109


@pytest.mark.parametrize(("dilation", "groups"), [(1, 1), (2, 1), (1, 4), (3, 2)])
def test_dilation_and_groups_are_those_of_the_torch_module(dilation, groups):
    from rflib._torchnets import convolution

    described = Conv(3, 8, 12, stride=2, padding=dilation, dilation=dilation, groups=groups)
    made = convolution(described)
    assert described.weights == made.weight.numel()
    assert rflib.receptive_field([described.layer]) == rflib.receptive_field(made)[0]
    assert made(torch.zeros(1, 8, 30, 30)).shape[2] == rflib.output_size([described.layer], 30)


@pytest.mark.parametrize("kernel", range(1, 12))
@pytest.mark.parametrize("stride", range(1, 9))
def test_padding_is_the_least_that_makes_n_over_stride_outputs(kernel, stride):
    def outputs(padding):
        return (8 * stride * 5 + 2 * padding - kernel) // stride + 1

    padding = padding_for(kernel, stride)
    assert outputs(padding) >= 8 * 5
    assert padding == 0 or outputs(padding - 1) < 8 * 5


def test_costs_print_as_a_table():
    spent = costs("deep")
    assert str(spent).splitlines()[-1].split() == [
        "in",
        "all",
        "28,512",
        "357,654,528",
        "1,806,336",
    ]
    assert spent._repr_html_().count("<tr>") == 6


# --- plain ResNets --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "stride_on", "size"),
    [
        (18, "3x3", 435),
        (34, "3x3", 899),
        (50, "3x3", 427),
        (101, "3x3", 971),
        (152, "3x3", 1451),
        (50, "1x1", 483),
        (101, "1x1", 1027),
        (152, "1x1", 1507),
    ],
)
def test_published_fields(depth, stride_on, size):
    path = resnet_path(depth, stride_on=stride_on)
    last = rflib.recurrence(layers_of(path))[-1]
    assert (last.size, last.jump) == (size, 32)
    end = stages(depth, stride_on=stride_on)[-1]
    assert (end.size, end.jump, end.output) == (size, 32, 7)


@pytest.mark.parametrize(
    ("depth", "parameters", "multiply_adds"),
    [
        (18, 11_689_512, 1_814_073_344),
        (34, 21_797_672, 3_663_761_408),
        (50, 25_557_032, 4_089_184_256),
        (101, 44_549_160, 7_801_405_440),
        (152, 60_192_808, 11_513_626_624),
    ],
)
def test_published_parameters_and_multiply_adds(depth, parameters, multiply_adds):
    """torchvision's numbers; its multiply-adds count the last linear layer too."""
    with torch.device("meta"):
        net = networks.resnet(depth)
    assert sum(p.numel() for p in net.parameters()) == parameters
    found = stages(depth)
    assert sum(s.multiply_adds for s in found) + net.fc.weight.numel() == multiply_adds
    convolutions = [p for name, p in net.named_parameters() if p.dim() == 4]
    assert sum(s.weights for s in found) == sum(p.numel() for p in convolutions)


@pytest.mark.parametrize("name", networks.STEMS)
@pytest.mark.parametrize("depth", [18, pytest.param(50, marks=pytest.mark.slow)])
def test_stages_are_those_of_the_torch_module(name, depth):
    found = stages(depth, name, image=96)
    seen = {}
    with torch.device("meta"):
        net, x = networks.resnet(depth, name, classes=10).eval(), torch.zeros(2, 3, 96, 96)

    def count(stage, module):
        def hook(_module, _inputs, out):
            seen[stage] = seen.get(stage, 0) + out[0].numel()

        module.register_forward_hook(hook)

    for stage in found[1:]:
        for module in getattr(net, stage.name).modules():
            if isinstance(module, nn.Conv2d):
                count(stage.name, module)
        getattr(net, stage.name).register_forward_hook(
            lambda m, i, out, s=stage: seen.update({s.name + " map": tuple(out.shape)})
        )
    assert tuple(net(x).shape) == (2, 10)
    for stage in found[1:]:
        assert seen[stage.name] == stage.activations
        assert seen[stage.name + " map"] == (2, stage.channels, stage.output, stage.output)


def test_names_are_those_of_the_common_implementation():
    with torch.device("meta"):
        shapes = {name: tuple(p.shape) for name, p in networks.resnet(50).state_dict().items()}
    assert shapes["conv1.weight"] == (64, 3, 7, 7)
    assert shapes["bn1.running_mean"] == (64,)
    assert shapes["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["layer4.2.conv3.weight"] == (2048, 512, 1, 1)
    assert shapes["fc.bias"] == (1000,)
    assert len(shapes) == 320


def reached_rows(net, layer, size, unit):
    """Input rows that unit (unit, unit) of a layer depends on, by NaN: no weights are changed."""
    out = {}
    handle = getattr(net, layer).register_forward_hook(lambda m, i, o: out.update(map=o))
    x = torch.zeros(size, 3, size, 4)  # one image per row: batch-norm in eval mode keeps them apart
    for row in range(size):
        x[row, :, row] = float("nan")
    with torch.no_grad():
        net(x)
    rows = out["map"][:, 0, unit, 0].isnan().nonzero().flatten().tolist()
    handle.remove()
    return rows


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("resnet", "patchify") else pytest.mark.slow)
        for name in networks.STEMS
    ],
)
def test_the_main_path_is_the_longest(name):
    """Four columns of pixels, one NaN row at a time, against the region of the path's layers."""
    net = networks.resnet(18, name, classes=1).eval()
    path = resnet_path(18, name)
    layers = [layer for stage in ("stem", "layer1", "layer2") for layer in path[stage]]
    size = 64
    unit = rflib.output_size(layers, size) // 2
    first, last = rflib.region(layers, unit, size, clip=True)
    assert reached_rows(net, "layer2", size, unit) == list(range(first, last + 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "stride_on", "layer", "size"),
    [(18, "3x3", "layer4", 435), (50, "1x1", "layer2", 99)],
)
def test_probe_measures_what_the_path_says(depth, stride_on, layer, size):
    path = resnet_path(depth, stride_on=stride_on)
    names = list(path)[: list(path).index(layer) + 1]
    assert rflib.receptive_field(layers_of({n: path[n] for n in names})) == size
    found = rflib.probe(networks.resnet(depth, stride_on=stride_on), layer=layer)
    assert tuple(found.size) == (size, size)


# --- the sources' networks ------------------------------------------------------------------------


def test_simple_cnn_runs_in_another_order_than_it_is_defined():
    net = networks.simple_cnn()
    assert tuple(net(torch.zeros(2, 1, 64, 64)).shape) == (2, 16, 32, 32)
    kinds = [type(module).__name__ for module in net.children()]
    assert kinds == ["Conv2d", "Conv2d", "MaxPool2d"]
    with pytest.raises(TypeError):
        rflib.receptive_field(net)
    assert rflib.receptive_field([net.conv1, net.pool, net.conv2]) == (8, 8)


def test_cnn_is_35():
    net = networks.cnn()
    assert rflib.receptive_field(net) == (35, 35)
    assert tuple(net(torch.zeros(1, 1, 40, 40)).shape) == (1, 1, 40, 40)
    assert [type(module).__name__ for module in net[:3]] == ["Conv2d", "ReLU", "Conv2d"]
    assert isinstance(net[-1], nn.Conv2d)
    assert rflib.receptive_field(networks.cnn([(5, 2)])) == (5, 5)


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: stem("vgg"), ValueError, "name is 'vgg'; allowed: resnet, deep"),
        (lambda: stem(7), ValueError, "name is 7"),
        (lambda: stem("resnet", kernel=0), ValueError, "kernel must be an integer of at least 1"),
        (lambda: stem("resnet", kernel=2.5), TypeError, "kernel must be an integer"),
        (lambda: stem("resnet", stride="2"), TypeError, "stride must be an integer"),
        (lambda: stem("resnet", pool=1), TypeError, "pool must be True or False"),
        (lambda: costs(3), TypeError, "stem is 3; allowed: a Stem"),
        (lambda: costs("resnet", image=0), ValueError, "image must be"),
        (lambda: costs("resnet", image=True), TypeError, "image must be"),
        (lambda: Conv(3, 0, 64), ValueError, "channels_in must be"),
        (lambda: Conv(3, 3, 64, padding=-1), ValueError, "padding must be"),
        (lambda: Conv(3, 6, 8, groups=4), ValueError, "groups is 4; allowed: a divisor of both"),
        (lambda: Conv(3, 6, 8, dilation=0), ValueError, "dilation must be"),
        (lambda: Pool(stride=0), ValueError, "stride must be"),
        (lambda: Stem("mine", ()), ValueError, "convs is empty"),
        (lambda: Stem("mine", (Conv(3, 3, 8), Conv(3, 16, 8))), ValueError, "must be those"),
        (lambda: stages(20), ValueError, "depth is 20; allowed: 18, 34, 50, 101, 152"),
        (lambda: stages([18]), TypeError, "depth must be an integer"),
        (lambda: resnet_path(50, stride_on="2x2"), ValueError, "stride_on is '2x2'"),
        (lambda: resnet_path(18, stride_on="1x1"), ValueError, "have no 1x1"),
        (lambda: networks.resnet(18, classes=0), ValueError, "classes must be"),
        (lambda: networks.cnn([]), ValueError, "layer_list is empty"),
        (lambda: networks.cnn([(3, 1, 1)]), ValueError, "layer_list holds (3, 1, 1)"),
        (lambda: networks.cnn([(3, 0)]), ValueError, "stride must be"),
        (lambda: networks.cnn(channels=-1), ValueError, "channels must be"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)
