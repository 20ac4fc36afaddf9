"""Random fields `[h, w]`, from which the textures are made, and the light on them.

Sizes are fractions of the picture's height, so that a texture looks the same at any resolution.
"""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, map_coordinates

Field = npt.NDArray[np.float32]
Colours = npt.NDArray[np.float32]
Colour = npt.NDArray[np.float32]

_LIGHT_HEIGHT = 0.8


def fractal(
    rng: np.random.Generator,
    height: int,
    width: int,
    slope: float = 2.0,
    coarsest: float = 1.0,
    finest: float = 0.0,
    stretch: tuple[float, float] = (1.0, 1.0),
) -> Field:
    """Periodic noise `[height, width]` of power 1/frequency^slope, mean 0 and standard deviation 1.

    Its wavelengths are between `finest` and `coarsest` picture heights, times `stretch` (down, across).
    """
    down = np.fft.fftfreq(height)[:, None] * height * stretch[0]
    across = np.fft.rfftfreq(width)[None, :] * height * stretch[1]
    frequency = np.hypot(down, across)  # waves per picture height
    keep = frequency >= 0.999 / coarsest
    if finest > 0.0:
        keep &= frequency <= 1.0 / finest
    amplitude = np.where(keep, np.maximum(frequency, 1e-6) ** (-slope / 2.0), 0.0)
    white = np.fft.rfft2(rng.standard_normal((height, width), np.float32))
    field = np.fft.irfft2(white * amplitude, s=(height, width))
    spread = float(field.std())
    return np.asarray(field / spread if spread > 0.0 else field, np.float32)


def grid(height: int, width: int) -> tuple[Field, Field]:
    """Row and column of each pixel, in picture heights, each `[height, width]`."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(height)
    return rows, columns


def cells(
    rng: np.random.Generator, rows: Field, columns: Field, size: float
) -> tuple[npt.NDArray[np.int64], Field, Field]:
    """Worley noise: cells around random centres about `size` apart, for the points `rows`, `columns` of any shape.

    Returns for each point the number of its cell and the distances to the nearest and the second nearest centre,
    divided by `size`.
    """
    y, x = rows / size, columns / size
    top, left = int(np.floor(y.min())) - 1, int(np.floor(x.min())) - 1
    down, across = int(np.floor(y.max())) - top + 2, int(np.floor(x.max())) - left + 2
    centres = rng.random((down, across, 2), np.float32)
    row, column = np.floor(y).astype(np.int64) - top, np.floor(x).astype(np.int64) - left
    y, x = y - top, x - left
    nearest = np.full(y.shape, np.inf, np.float32)
    second = nearest.copy()
    number = np.zeros(y.shape, np.int64)
    for near_row in (row - 1, row, row + 1):
        for near_column in (column - 1, column, column + 1):
            centre = centres[near_row, near_column]
            distance = (y - near_row - centre[..., 0]) ** 2 + (x - near_column - centre[..., 1]) ** 2
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            number = np.where(closer, near_row * across + near_column, number)
            nearest = np.where(closer, distance, nearest)
    return number, np.sqrt(nearest), np.sqrt(second)


def relief(surface: Field, angle: float, depth: float) -> Field:
    """Brightness `[h, w]` of a height field `surface` lit from `angle` (radians), about 1 where it is flat.

    A height of 1 in `surface` stands for `depth` picture heights.
    """
    down, across = np.gradient(surface * np.float32(depth * surface.shape[0]))
    lit = _LIGHT_HEIGHT - np.float32(np.sin(angle)) * down - np.float32(np.cos(angle)) * across
    return np.asarray(np.clip(lit / np.sqrt(1.0 + down**2 + across**2) / _LIGHT_HEIGHT, 0.0, 2.0), np.float32)


def glints(surface: Field, angle: float, depth: float, sharpness: float) -> Field:
    """Specular highlights `[h, w]`, 0 to 1, of a wet or glazed height field; `angle` and `depth` as in `relief`."""
    down, across = np.gradient(surface * np.float32(depth * surface.shape[0]))
    tilt = (down - 0.5 * np.sin(angle)) ** 2 + (across - 0.5 * np.cos(angle)) ** 2
    return np.asarray(np.exp(-sharpness * tilt), np.float32)


def soften(field: Field, size: float) -> Field:
    """Blur `[h, w]` or `[h, w, 3]` by a Gaussian of standard deviation `size` picture heights."""
    sigma = size * field.shape[0]
    blurred: Field = gaussian_filter(field, (sigma, sigma) + (0,) * (field.ndim - 2), mode="nearest")
    return blurred


def bend(field: Field, down: Field, across: Field) -> Field:
    """Sample `field [h, w]` displaced by `down` and `across` (picture heights), mirrored at the borders."""
    height, width = field.shape
    rows, columns = grid(height, width)
    at = np.stack([(rows + down) * height, (columns + across) * height])
    bent: Field = map_coordinates(field, at, order=1, mode="mirror")
    return bent


def palette(field: Field, *colours: Colour) -> Colours:
    """Colours `[h, w, 3]` for a field of 0 to 1, interpolated between `colours` at equal distances."""
    stops = np.linspace(0.0, 1.0, len(colours))
    table = np.stack(colours)
    flat = np.clip(field, 0.0, 1.0)
    return np.asarray(np.stack([np.interp(flat, stops, table[:, c]) for c in range(3)], axis=-1), np.float32)


def colour(hue: float, saturation: float, value: float) -> Colour:
    """RGB `[3]`, 0 to 1, from a hue in degrees and a saturation and value from 0 to 1."""
    position = (np.array([5.0, 3.0, 1.0]) + hue / 60.0) % 6.0
    mix = value - value * saturation * np.clip(np.minimum(position, 4.0 - position), 0.0, 1.0)
    return np.asarray(mix, np.float32)
