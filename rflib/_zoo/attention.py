"""Vision transformers: one whose attention is over all patches, one in windows that shift.

Attention is written out as products of matrices and a softmax, so that every step is an operator
of its own.  Dropout and the random dropping of paths are left out: they act in training alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rflib._zoo._parts import named
from rflib._zoo.modern import Permute


def attention(qkv: Tensor, heads: int, *biases: Tensor) -> Tensor:
    """Every position takes a mean of the values of all, weighted by softmax(query * key + biases).

    qkv: (groups, positions, 3 * channels); positions of different groups do not meet.
    """
    groups, positions, triple = qkv.shape
    channels = triple // 3
    q, k, v = qkv.reshape(groups, positions, 3, heads, channels // heads).permute(2, 0, 3, 1, 4)
    scores = (q * (channels // heads) ** -0.5) @ k.transpose(-2, -1)
    for bias in biases:
        scores = scores + bias
    out: Tensor = (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(groups, positions, channels)
    return out


def perceptron(channels: int) -> nn.Sequential:
    """Two layers on each position alone; the places of torchvision's dropouts are kept."""
    hidden = 4 * channels
    return nn.Sequential(
        nn.Linear(channels, hidden),
        nn.GELU(),
        nn.Identity(),
        nn.Linear(hidden, channels),
        nn.Identity(),
    )


# --- ViT ------------------------------------------------------------------------------------------


class SelfAttention(nn.Module):
    """Attention over all positions, with the parameters of nn.MultiheadAttention."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * channels))
        self.out_proj = nn.Linear(channels, channels)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor) -> Tensor:
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        out: Tensor = self.out_proj(attention(qkv, self.heads))
        return out


class EncoderLayer(nn.Module):
    """Attention, then a perceptron, each behind a layer norm and around a shortcut."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(channels, eps=1e-6)
        self.self_attention = SelfAttention(channels, heads)
        self.ln_2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = perceptron(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attention(self.ln_1(x))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class Encoder(nn.Module):
    """Adds to each position what tells where it is, then the layers."""

    def __init__(self, positions: int, channels: int, layers: int, heads: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(0.02 * torch.randn(1, positions, channels))
        self.layers = named(
            **{f"encoder_layer_{i}": EncoderLayer(channels, heads) for i in range(layers)}
        )
        self.ln = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.ln(self.layers(x + self.pos_embedding))
        return out


class VisionTransformer(nn.Module):
    """Patches of 16 become positions; one more position, the class token, gives the answer."""

    def __init__(self, image: int, channels: int, layers: int, heads: int, classes: int) -> None:
        super().__init__()
        self.image = image
        self.class_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.conv_proj = nn.Conv2d(3, channels, 16, stride=16)
        self.encoder = Encoder(1 + (image // 16) ** 2, channels, layers, heads)
        self.heads = named(head=nn.Linear(channels, classes))

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[2:]) != (self.image, self.image):
            raise ValueError(
                f"x has {tuple(x.shape[2:])} pixels; allowed: {(self.image, self.image)}, as every "
                "position has a vector of its own"
            )
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1)
        out: Tensor = self.heads(self.encoder(x)[:, 0])
        return out


def vit_b_16(classes: int = 1000) -> VisionTransformer:
    """ViT-B/16 (Dosovitskiy et al. 2021): global from the first layer on; 224 pixels alone."""
    return VisionTransformer(224, 768, 12, 12, classes)


# --- Swin -----------------------------------------------------------------------------------------

WINDOW = 7


class WindowAttention(nn.Module):
    """Attention within windows of 7x7 positions; `shift` moves them by 3, around the edge."""

    relative_position_index: Tensor

    def __init__(self, channels: int, heads: int, shift: bool) -> None:
        super().__init__()
        self.heads, self.shift = heads, WINDOW // 2 if shift else 0
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        steps = 2 * WINDOW - 1  # from -6 to 6 along each axis
        self.relative_position_bias_table = nn.Parameter(0.02 * torch.randn(steps**2, heads))
        axis = torch.arange(WINDOW)
        places = torch.stack(torch.meshgrid(axis, axis, indexing="ij")).flatten(1)
        step = places[:, :, None] - places[:, None, :] + WINDOW - 1
        self.register_buffer("relative_position_index", (steps * step[0] + step[1]).flatten())

    def forward(self, x: Tensor) -> Tensor:
        batch, rows, columns, channels = x.shape
        x = F.pad(x, (0, 0, 0, -columns % WINDOW, 0, -rows % WINDOW))
        padded = x.shape[1:3]
        # A map of a single window has nothing to shift to.
        shifts = [0 if side == WINDOW else self.shift for side in padded]
        x = x.roll([-shift for shift in shifts], dims=(1, 2))
        bias = self.relative_position_bias_table[self.relative_position_index]
        biases = [bias.view(WINDOW**2, WINDOW**2, self.heads).permute(2, 0, 1)[None]]
        if any(shifts):
            biases.append(_strangers(padded, shifts, x).repeat(batch, 1, 1, 1))
        out: Tensor = self.proj(attention(self.qkv(_windows(x)), self.heads, *biases))
        down, across = (side // WINDOW for side in padded)
        out = out.view(batch, down, across, WINDOW, WINDOW, channels).transpose(2, 3)
        out = out.reshape(batch, *padded, channels).roll(shifts, dims=(1, 2))
        return out[:, :rows, :columns]


def _windows(x: Tensor) -> Tensor:
    """(batch, rows, columns, channels) to (batch * windows, positions in one, channels)."""
    batch, rows, columns, channels = x.shape
    x = x.view(batch, rows // WINDOW, WINDOW, columns // WINDOW, WINDOW, channels)
    return x.transpose(2, 3).reshape(-1, WINDOW**2, channels)


def _strangers(sides: Sequence[int], shifts: Sequence[int], like: Tensor) -> Tensor:
    """-inf between positions that share a window only because the roll wrapped the map around.

    Shape (windows, 1, positions, positions).  A part of an axis: before the last window, in it, and
    what came around.  torchvision adds -100, whose exponential is next to nothing; this is nothing.
    """
    parts = []
    for side, shift in zip(sides, shifts, strict=True):
        place = torch.arange(side, device=like.device)
        wrapped = (place >= side - WINDOW).int() + (place >= side - shift).int()
        parts.append(wrapped if shift else torch.zeros_like(wrapped))
    part = _windows((3 * parts[0][:, None] + parts[1])[None, :, :, None])[:, :, 0]
    apart = part[:, None, :, None] != part[:, None, None, :]
    return torch.zeros_like(apart, dtype=like.dtype).masked_fill(apart, float("-inf"))


class SwinBlock(nn.Module):
    """Attention in windows, then a perceptron, each behind a layer norm and around a shortcut."""

    def __init__(self, channels: int, heads: int, shift: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads, shift)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = perceptron(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class PatchMerging(nn.Module):
    """Four neighbours become one position of twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(4 * channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        four = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        out: Tensor = self.reduction(self.norm(torch.cat(four, dim=-1)))
        return out


def swin_t(classes: int = 1000) -> nn.Sequential:
    """Swin-T (Liu et al. 2021): every second block shifts its windows, so that they overlap."""
    channels, heads = 96, 3
    made: list[nn.Module] = [
        nn.Sequential(nn.Conv2d(3, 96, 4, stride=4), Permute(0, 2, 3, 1), nn.LayerNorm(96))
    ]
    for index, count in enumerate((2, 2, 6, 2)):
        if index:
            made.append(PatchMerging(channels))
            channels, heads = 2 * channels, 2 * heads
        blocks = (SwinBlock(channels, heads, shift=position % 2 == 1) for position in range(count))
        made.append(nn.Sequential(*blocks))
    return named(
        features=nn.Sequential(*made),
        norm=nn.LayerNorm(channels),
        permute=Permute(0, 3, 1, 2),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(1),
        head=nn.Linear(channels, classes),
    )
