"""What the figures of a ResNet on the photograph share: its stages, one unit's field, percents."""

from rflib.figures import PHOTOGRAPH_SIZE
from rflib.layers import Layer
from rflib.regions import region

IMAGE = PHOTOGRAPH_SIZE
STAGES = ("stem", "layer1", "layer2", "layer3", "layer4")


def field_and_inside(layers: list[Layer], unit: int) -> tuple[list[int], list[int]]:
    """First and last pixel of a unit's field along an axis, and of the part inside the image."""
    field, inside = region(layers, unit), region(layers, unit, IMAGE, clip=True)
    return [field.first, field.last], [inside.first, inside.last]


def length(ends: list[int]) -> int:
    return ends[1] - ends[0] + 1


def tenths(value: int, unit: int) -> str:
    """value / unit to one decimal, half upwards, by whole numbers: the page does the same."""
    found = (20 * value + unit) // (2 * unit)
    return f"{found // 10:,}.{found % 10}"


def part(share: str) -> str:
    """A share of the image, in percent with one decimal, in words."""
    words = {"100.0": "the whole image", "0.0": "less than 0.1 % of the image"}
    return words.get(share, f"{share} % of the image")
