"""The networks whose receptive fields people ask for: a catalogue, and one file per family.

The catalogue needs no torch.  A family's file is imported when one of its networks is built.  Each
is our own definition, as short as a table of its numbers allows.  Where torchvision has the
network, ours computes the same function and takes the same parameters in the same order; most bear
the same names too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rflib.layers import told, whole

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NAMES", "Network", "build"]


@dataclass(frozen=True)
class Network:
    """One line of the catalogue; prints as that line.

    source : authors and year of the paper; `cite` is its key in the book's references.
    input_size : the usual input, (batch, channels, *axes).
    maker, fixed : the family's file and function that `build` calls, and what it fixes there.

    >>> NAMES["r3d_18"].input_size
    (1, 3, 16, 112, 112)
    """

    title: str
    source: str
    cite: str
    input_size: tuple[int, ...]
    maker: str
    fixed: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.title} ({self.source}); input {'×'.join(map(str, self.input_size))}"


def _image(side: int, channels: int = 3) -> tuple[int, ...]:
    return (1, channels, side, side)


_HE = ("He et al. 2016", "he2016")
_VGG = ("Simonyan and Zisserman 2015", "simonyan2015")

NAMES: Mapping[str, Network] = MappingProxyType(
    {
        "alexnet": Network(
            "AlexNet with one tower",
            "Krizhevsky 2014",
            "krizhevsky2014",
            _image(224),
            "plain.alexnet",
        ),
        **{
            f"vgg{depth}": Network(
                f"VGG-{depth}", *_VGG, _image(224), "plain.vgg", {"depth": depth}
            )
            for depth in (11, 13, 16, 19)
        },
        "googlenet": Network(
            "GoogLeNet, or Inception-v1, with batch-norm",
            "Szegedy et al. 2015",
            "szegedy2015",
            _image(224),
            "inception.googlenet",
        ),
        "inception_v2": Network(
            "Inception-v2, padded as in TensorFlow slim",
            "Ioffe and Szegedy 2015",
            "ioffe2015",
            _image(224),
            "slim.inception_v2",
        ),
        "inception_v3": Network(
            "Inception-v3",
            "Szegedy et al. 2016",
            "szegedy2016",
            _image(299),
            "inception.inception_v3",
        ),
        "inception_v4": Network(
            "Inception-v4", "Szegedy et al. 2017", "szegedy2017", _image(299), "slim.inception_v4"
        ),
        "inception_resnet_v2": Network(
            "Inception-ResNet-v2",
            "Szegedy et al. 2017",
            "szegedy2017",
            _image(299),
            "slim.inception_resnet_v2",
        ),
        "squeezenet1_1": Network(
            "SqueezeNet 1.1",
            "Iandola et al. 2016",
            "iandola2016",
            _image(224),
            "plain.squeezenet1_1",
        ),
        "densenet121": Network(
            "DenseNet-121",
            "Huang et al. 2017",
            "huang2017",
            _image(224),
            "densenet.densenet",
            {"depth": 121},
        ),
        **{
            f"resnet{depth}": Network(
                f"ResNet-{depth}", *_HE, _image(224), "resnets.resnet", {"depth": depth}
            )
            for depth in (18, 34, 50, 101, 152)
        },
        "resnext50_32x4d": Network(
            "ResNeXt-50, 32 groups of 4",
            "Xie et al. 2017",
            "xie2017",
            _image(224),
            "resnets.resnext50_32x4d",
        ),
        "wide_resnet50_2": Network(
            "Wide ResNet-50-2",
            "Zagoruyko and Komodakis 2016",
            "zagoruyko2016",
            _image(224),
            "resnets.wide_resnet50_2",
        ),
        "mobilenet_v1": Network(
            "MobileNet", "Howard et al. 2017", "howard2017", _image(224), "mobile.mobilenet_v1"
        ),
        "mobilenet_v2": Network(
            "MobileNet-v2", "Sandler et al. 2018", "sandler2018", _image(224), "mobile.mobilenet_v2"
        ),
        "mobilenet_v3_large": Network(
            "MobileNet-v3 large",
            "Howard et al. 2019",
            "howard2019",
            _image(224),
            "mobile.mobilenet_v3_large",
        ),
        "efficientnet_b0": Network(
            "EfficientNet-B0", "Tan and Le 2019", "tan2019", _image(224), "mobile.efficientnet_b0"
        ),
        "shufflenet_v2_x1_0": Network(
            "ShuffleNet-v2", "Ma et al. 2018", "ma2018", _image(224), "modern.shufflenet_v2_x1_0"
        ),
        "regnet_x_400mf": Network(
            "RegNet-X of 400 million multiply-adds",
            "Radosavovic et al. 2020",
            "radosavovic2020",
            _image(224),
            "modern.regnet_x_400mf",
        ),
        "regnet_y_400mf": Network(
            "RegNet-Y, the same with squeeze-and-excitation",
            "Radosavovic et al. 2020",
            "radosavovic2020",
            _image(224),
            "modern.regnet_y_400mf",
        ),
        "convnext_tiny": Network(
            "ConvNeXt-T", "Liu et al. 2022", "liu2022", _image(224), "modern.convnext_tiny"
        ),
        "swin_t": Network(
            "Swin-T, attention in shifted windows",
            "Liu et al. 2021",
            "liu2021",
            _image(224),
            "attention.swin_t",
        ),
        "vit_b_16": Network(
            "ViT-B/16, attention over all patches",
            "Dosovitskiy et al. 2021",
            "dosovitskiy2021",
            _image(224),
            "attention.vit_b_16",
        ),
        "fcn_resnet50": Network(
            "FCN on a dilated ResNet-50",
            "Long et al. 2015",
            "long2015",
            _image(224),
            "dense.fcn_resnet50",
        ),
        "deeplabv3_resnet50": Network(
            "DeepLabv3 on a dilated ResNet-50",
            "Chen et al. 2017",
            "chen2017",
            _image(224),
            "dense.deeplabv3_resnet50",
        ),
        "unet": Network(
            "U-Net", "Ronneberger et al. 2015", "ronneberger2015", _image(512, 1), "dense.unet"
        ),
        "patchgan": Network(
            "PatchGAN, the discriminator of pix2pix for patches of 70 pixels",
            "Isola et al. 2017",
            "isola2017",
            _image(256, 6),
            "dense.patchgan",
        ),
        "espcn": Network(
            "ESPCN, super-resolution by 3",
            "Shi et al. 2016",
            "shi2016",
            _image(64, 1),
            "dense.espcn",
        ),
        "wavenet": Network(
            "WaveNet, three stacks of ten layers",
            "van den Oord et al. 2016",
            "oord2016",
            (1, 256, 4096),
            "sequence.wavenet",
        ),
        "tcn": Network(
            "Temporal convolutional network",
            "Bai et al. 2018",
            "bai2018",
            (1, 1, 784),
            "sequence.tcn",
        ),
        "r3d_18": Network(
            "R3D-18, a ResNet for video",
            "Tran et al. 2018",
            "tran2018",
            (1, 3, 16, 112, 112),
            "video.r3d_18",
        ),
    }
)


def build(name: str, **options: Any) -> nn.Module:
    """The named network as a torch module, with torch's own random weights, in training mode.

    Options are those of the network: `classes` for most, `up` and `padded` for "unet" and so on; a
    wrong one is answered with the list.  `NAMES[name].input_size` is the usual input; larger ones
    go as well, except for "vit_b_16".  Needs torch.  Raises ValueError for an unknown name or
    option.

    >>> print(NAMES["vgg16"])
    VGG-16 (Simonyan and Zisserman 2015); input 1×3×224×224
    >>> net = build("vgg16", classes=10)
    >>> sum(weights.numel() for weights in net.features.parameters())
    14714688
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string; got {told(name)}")
    if name not in NAMES:
        near = get_close_matches(name.lower().replace("-", "_"), NAMES, n=3, cutoff=0.5)
        hint = f"near: {', '.join(near)}" if near else "nothing is near"
        raise ValueError(f"name is {name!r}; {hint}; allowed: those in rflib.networks.NAMES")
    known = NAMES[name]
    module, _, maker = known.maker.partition(".")
    make = getattr(import_module(f"rflib._zoo.{module}"), maker)
    allowed = [option for option in signature(make).parameters if option not in known.fixed]
    for option in options:
        if option not in allowed:
            raise ValueError(f"{option!r} is no option of {name!r}; allowed: {', '.join(allowed)}")
    if "classes" in options:
        whole("classes", options["classes"], 1)
    made: nn.Module = make(**known.fixed, **options)
    return made
