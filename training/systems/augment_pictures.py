"""Augmentation of training pictures, a whole batch at a time on the device.

All randomness is handed in as uniform numbers, so that a run can be repeated, resumed and shared among processes
exactly. Nothing here waits for the device: no loop over the batch, no value read back, no shape that depends on
data.
"""

import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import grid_sample

PICTURE_DRAWS = 10
"""Uniform numbers in [0, 1) for each picture, whatever is turned on."""

(_FLIP, _AREA, _ASPECT, _LEFT, _TOP, _BRIGHTNESS, _CONTRAST, _SATURATION, _BLUR, _SIGMA) = range(PICTURE_DRAWS)

_LARGEST_ASPECT = 4 / 3
_BLUR_RADIUS = 2
_BLUR_SIGMAS = (0.3, 1.0)


class PictureAugment(BaseModel):
    """How training pictures are varied. Evaluation does not vary them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip: float = Field(0.5, ge=0.0, le=1.0, description="probability of a horizontal flip")
    crop: float = Field(
        1.0,
        ge=0.05,
        le=1.0,
        description="least share of the area in a random crop of aspect ratio 3/4 to 4/3; 1 = no crop",
    )
    jitter: float = Field(
        0.0, ge=0.0, le=0.9, description="brightness, contrast and saturation factors lie within 1 ± this"
    )
    blur: float = Field(
        0.0, ge=0.0, le=1.0, description="probability of a Gaussian blur of 0.3 to 1 pixels standard deviation"
    )


def augment_pictures(pictures: Tensor, draws: Tensor, augment: PictureAugment) -> Tensor:
    """Pictures uint8 `[B, S, S, 3]` to float32 `[B, S, S, 3]` in [0, 255], each varied by its row of `draws`.

    `draws` is float32 `[B, PICTURE_DRAWS]` in [0, 1) on the pictures' device. With all but `flip` off the result is
    exactly the flipped pictures.
    """
    cropped = augment.crop < 1.0
    if cropped:
        varied = _crop_and_flip(pictures.float(), draws, augment)
    elif augment.flip > 0.0:
        varied = torch.where(_column(draws[:, _FLIP] < augment.flip), pictures.flip(2), pictures).float()
    else:
        varied = pictures.float()
    if augment.blur > 0.0:
        varied = _blur(varied, draws, augment.blur)
    if augment.jitter > 0.0:
        varied = _jitter(varied, draws, augment.jitter)
    if cropped or augment.blur > 0.0 or augment.jitter > 0.0:
        varied = varied.clamp(0.0, 255.0)  # weights that sum to 1 only up to rounding can leave the range too
    return varied


def _column(values: Tensor) -> Tensor:
    """`[B]` to `[B, 1, 1, 1]`."""
    return values[:, None, None, None]


def _crop_and_flip(pictures: Tensor, draws: Tensor, augment: PictureAugment) -> Tensor:
    """One bilinear resampling that crops to a random rectangle, mirrors it or not, and scales it to the whole."""
    area = augment.crop + (1.0 - augment.crop) * draws[:, _AREA]
    # A rectangle as large as the picture must have its shape: the aspect is drawn among those that fit,
    # so that the area stays what was drawn.
    widest = (-area.log()).clamp(0.0, math.log(_LARGEST_ASPECT))
    aspect = ((2.0 * draws[:, _ASPECT] - 1.0) * widest).exp()
    width = (area * aspect).sqrt().clamp_max(1.0)
    height = (area / aspect).sqrt().clamp_max(1.0)
    left = (1.0 - width) * (2.0 * draws[:, _LEFT] - 1.0)
    top = (1.0 - height) * (2.0 * draws[:, _TOP] - 1.0)
    mirrored = torch.where(draws[:, _FLIP] < augment.flip, -width, width)
    # affine_grid would do this as a matrix product, which TF32 and autocast round to a good part of a pixel.
    rows, columns = pictures.shape[1:3]
    x = left[:, None] + mirrored[:, None] * _centres(columns, pictures.device)
    y = top[:, None] + height[:, None] * _centres(rows, pictures.device)
    grid = torch.stack((x[:, None, :].expand(-1, rows, -1), y[:, :, None].expand(-1, -1, columns)), dim=3)
    planes = pictures.permute(0, 3, 1, 2)
    return grid_sample(planes, grid, "bilinear", "border", align_corners=False).permute(0, 2, 3, 1)


def _centres(count: int, device: torch.device) -> Tensor:
    """Centres of `count` pixels side by side, in grid_sample's coordinates: -1 and 1 are the outer edges."""
    return (2.0 * torch.arange(count, device=device) + 1.0) / count - 1.0


def _blur(pictures: Tensor, draws: Tensor, probability: float) -> Tensor:
    """A separable Gaussian of its own for each picture; one that is not chosen has a kernel of a single 1."""
    low, high = _BLUR_SIGMAS
    sigma = low + (high - low) * draws[:, _SIGMA]
    chosen = draws[:, _BLUR] < probability
    side = [torch.where(chosen, (-0.5 * (step / sigma).square()).exp(), 0.0) for step in range(1, _BLUR_RADIUS + 1)]
    total = 1.0 + 2.0 * torch.stack(side).sum(0)
    for axis in (1, 2):
        padded = _extended(pictures, axis)
        length = pictures.shape[axis]
        pictures = pictures * _column(1.0 / total)
        for step, weight in enumerate(side, 1):
            before = padded.narrow(axis, _BLUR_RADIUS - step, length)
            after = padded.narrow(axis, _BLUR_RADIUS + step, length)
            pictures = torch.addcmul(pictures, before + after, _column(weight / total))
    return pictures


def _extended(pictures: Tensor, axis: int) -> Tensor:
    """Pictures with their edge repeated outwards by the radius of the blur along `axis`."""
    first, last = pictures.narrow(axis, 0, 1), pictures.narrow(axis, -1, 1)
    return torch.cat((*[first] * _BLUR_RADIUS, pictures, *[last] * _BLUR_RADIUS), axis)


def _jitter(pictures: Tensor, draws: Tensor, jitter: float) -> Tensor:
    """Brightness, then contrast about the picture's mean grey, then saturation; not clamped."""
    factors = 1.0 + jitter * (2.0 * draws[:, _BRIGHTNESS : _SATURATION + 1] - 1.0)
    brightness, contrast, saturation = (_column(factor) for factor in factors.unbind(1))
    red, green, blue = pictures.unbind(3)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue)[..., None]  # luma of ITU-R BT.601
    mean = grey.mean(dim=(1, 2), keepdim=True)
    # All three are linear, so they are one sum: the picture, its grey and its mean grey.
    rest = (contrast * brightness * (1.0 - saturation)) * grey + (brightness * (1.0 - contrast)) * mean
    return torch.addcmul(rest, pictures, saturation * contrast * brightness)
