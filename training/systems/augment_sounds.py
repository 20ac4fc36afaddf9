"""Cutting the window that the sound tower takes out of stored clips, and its augmentation, on the device.

All randomness is handed in as uniform numbers, so that a run can be repeated, resumed and shared among processes
exactly. Nothing here waits for the device: no loop over the batch, no value read back, no shape that depends on
data.
"""

import math
from typing import Annotated

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import pad

from model.bundle import ClipSpec
from model.errors import TrainingError
from model.torch_towers.spectrogram import LogMel
from training.data.dataset import FULL_SCALE

SOUND_DRAWS = 11
"""Uniform numbers in [0, 1) for each clip, whatever is turned on."""

(_SHIFT, _SPEED, _TAIL, _NOISE, _NOISE_LEVEL, _NOISE_PLACE, _TILT) = range(7)
(_TIME_WIDTH, _TIME_PLACE, _BAND_WIDTH, _BAND_PLACE) = range(7, SOUND_DRAWS)

_FADE_SECONDS = 0.010
_LEVEL_SECONDS = 0.020
_NOISE_SECONDS = 4.0
_NOISE_LOWEST = 40.0
_NOISE_SEED = 20_240_817
_ONSET_MARGIN = 0.03
_SILENCE = -1.0

_Decibels = Annotated[float, Field(ge=0.0, le=80.0)]


class SoundAugment(BaseModel):
    """How training sounds are varied. Evaluation does not vary them.

    The masks are SpecAugment's (Park et al. 2019), one of each kind, except that the time mask begins only
    after the hit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shift: float = Field(
        0.0, ge=0.0, le=5.0, description="seconds by which the window moves at most, either way, inside the clip"
    )
    speed: float = Field(0.0, ge=0.0, le=0.5, description="playback rate lies within 1 ± this")
    least_tail: float | None = Field(
        None,
        ge=0.02,
        le=10.0,
        description="seconds after the hit; silence begins between then and the end of the window; absent = never",
    )
    noise: float = Field(0.0, ge=0.0, le=1.0, description="probability of background noise")
    noise_db: tuple[_Decibels, _Decibels] = Field(
        (10.0, 30.0), description="least and largest dB of the noise's RMS below the RMS of the loudest 20 ms"
    )
    tilt_db: float = Field(
        0.0, ge=0.0, le=40.0, description="largest tilt of the spectrum, ± dB from the lowest to the highest band"
    )
    time_mask: float = Field(0.0, ge=0.0, le=1.0, description="largest share of the columns in the time mask")
    band_mask: float = Field(0.0, ge=0.0, le=1.0, description="largest share of the rows in the band mask")

    @field_validator("noise_db")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("must be the least dB, then the largest")
        return value


class SoundAugmenter(nn.Module):
    """Cuts windows out of stored clips and varies them and their spectrograms.

    `stored` is the clips' extent around the hit, `window` the one that the sound tower takes; the window may be the
    wider one, there is silence where the clip holds nothing. Both methods take the same `draws`, float32 `[B,
    SOUND_DRAWS]` in [0, 1) on the clips' device, or None, which varies nothing. Raises TrainingError if the two
    differ in sample rate.
    """

    def __init__(self, augment: SoundAugment, stored: ClipSpec, window: ClipSpec) -> None:
        super().__init__()
        if stored.sample_rate != window.sample_rate:
            raise TrainingError(
                f"the clips are stored at {stored.sample_rate:,} Hz, the window asked for is at "
                f"{window.sample_rate:,} Hz; prepare the dataset again at that rate"
            )
        self.augment = augment
        self.sample_rate = window.sample_rate
        self.stored, self.samples = stored.samples, window.samples
        self.hit = round(stored.before * self.sample_rate)
        self.before = round(window.before * self.sample_rate)
        self.shifts = self._possible_shifts()
        # A tensor, because CUDA divides by a plain number by multiplying with its reciprocal, which rounds.
        self.register_buffer("full_scale", torch.tensor(FULL_SCALE), persistent=False)
        self.full_scale: Tensor
        if augment.noise > 0.0:
            noise = _pink_noise(max(round(_NOISE_SECONDS * self.sample_rate), self.samples), self.sample_rate)
            self.noise_period = len(noise)
            looped = np.concatenate((noise, noise[: self.samples - 1]))
            self.register_buffer("noise", torch.from_numpy(looped), persistent=False)
            self.noise: Tensor

    def _possible_shifts(self) -> range:
        """Samples by which the window may move: it reads no more outside of the clip, and keeps the hit."""
        largest = round(self.augment.shift * self.sample_rate)
        start = self.hit - self.before
        earlier = min(largest, max(0, start), max(0, self.samples - 1 - self.before))
        later = min(largest, max(0, self.stored - start - self.samples), self.before)
        return range(-earlier, later + 1)

    def windows(self, clips: Tensor, draws: Tensor | None = None) -> Tensor:
        """Stored clips int16 `[B, stored samples]` to windows float32 `[B, samples]` in [-1, 1].

        In this order: shift and speed (linear interpolation; the hit stays where the shift has put it), the
        fade of the tail, background noise. A clip that noise takes beyond full scale is scaled down to it.
        """
        assert clips.shape[1] == self.stored
        if draws is None:
            return self._plain(clips)
        moved = len(self.shifts) > 1 or self.augment.speed > 0.0
        sounds = self._moved(clips, draws) if moved else self._plain(clips)
        if self.augment.least_tail is not None:
            sounds = sounds * self._fade(draws, self.augment.least_tail)
        if self.augment.noise > 0.0:
            sounds = self._with_noise(sounds, draws)
        return sounds

    def spectrograms(self, log_mels: Tensor, draws: Tensor | None = None) -> Tensor:
        """Tilt and mask the windows' log-mel pictures `[B, C, rows, columns]` in [-1, 1], as `LogMel` makes them.

        A masked cell is -1, silence. No column is masked up to 3 % of the width after the hit.
        """
        if draws is None:
            return log_mels
        augment = self.augment
        if augment.tilt_db > 0.0:
            log_mels = _tilted(log_mels, (2.0 * draws[:, _TILT] - 1.0) * augment.tilt_db)
        rows, columns = log_mels.shape[2:]
        if augment.time_mask > 0.0:
            onset = self._hit_in_window(draws) / self.samples
            first = ((onset + _ONSET_MARGIN) * columns).ceil().long().clamp_max(columns)
            masked = _stretch(draws[:, _TIME_WIDTH], draws[:, _TIME_PLACE], first, columns, augment.time_mask)
            log_mels = log_mels.masked_fill(masked[:, None, None, :], _SILENCE)
        if augment.band_mask > 0.0:
            first = torch.zeros_like(draws[:, _BAND_WIDTH], dtype=torch.long)
            masked = _stretch(draws[:, _BAND_WIDTH], draws[:, _BAND_PLACE], first, rows, augment.band_mask)
            log_mels = log_mels.masked_fill(masked[:, None, :, None], _SILENCE)
        return log_mels

    def _plain(self, clips: Tensor) -> Tensor:
        start = self.hit - self.before
        inside = clips[:, max(0, start) : start + self.samples] / self.full_scale
        missing = max(0, -start)
        edges = (missing, self.samples - missing - inside.shape[1])
        return pad(inside, edges) if any(edges) else inside

    def _hit_in_window(self, draws: Tensor) -> Tensor:
        """The sample of the window at which the hit lies, int64 `[B]`."""
        return self.before - self.shifts.start - _whole(draws[:, _SHIFT], len(self.shifts))

    def _from_hit(self, draws: Tensor) -> Tensor:
        """Samples from the hit to each sample of the window, int64 `[B, samples]`."""
        return torch.arange(self.samples, device=draws.device) - self._hit_in_window(draws)[:, None]

    def _moved(self, clips: Tensor, draws: Tensor) -> Tensor:
        # Two zeros at either end: a place outside is brought to them, and so is its right neighbour.
        padded = pad(clips / self.full_scale, (2, 2))
        steps = self._from_hit(draws)
        if self.augment.speed == 0.0:
            return padded.gather(1, (steps + (self.hit + 2)).clamp(0, self.stored + 2))
        # Only what the rate differs from 1 is computed in floating point: it stays small, hence exact enough.
        drift = steps * ((2.0 * draws[:, _SPEED] - 1.0) * self.augment.speed)[:, None]
        whole = drift.floor()
        place = (steps + whole.long() + (self.hit + 2)).clamp(0, self.stored + 2)
        return torch.lerp(padded.gather(1, place), padded.gather(1, place + 1), drift - whole)

    def _fade(self, draws: Tensor, least_tail: float) -> Tensor:
        """Gain `[B, samples]`: 1, then a half cosine of 10 ms, then 0 from the drawn time on."""
        hit = self._hit_in_window(draws)
        end = (self.samples - hit) / self.sample_rate
        silent = least_tail + (end - least_tail).clamp_min(0.0) * draws[:, _TAIL]
        last = hit + silent * self.sample_rate  # in samples of the window
        quarter = math.pi / 2
        # In place, because on a CPU each pass over memory counts: [B, samples] is as large as the sounds.
        left = last[:, None] - torch.arange(self.samples, dtype=torch.float32, device=draws.device)
        left.mul_(quarter / (_FADE_SECONDS * self.sample_rate)).clamp_(0.0, quarter)
        # sin² of a quarter turn is the half cosine, and is exactly 0 at its end.
        return left.sin_().square_()

    def _with_noise(self, sounds: Tensor, draws: Tensor) -> Tensor:
        least, largest = self.augment.noise_db
        below = least + (largest - least) * draws[:, _NOISE_LEVEL]
        chosen = draws[:, _NOISE] < self.augment.noise
        level = torch.where(chosen, torch.pow(10.0, below / -20.0), 0.0) * self._loudest(sounds)
        noise = self.noise.unfold(0, self.samples, 1)[_whole(draws[:, _NOISE_PLACE], self.noise_period)]
        rms = noise.square().mean(1).sqrt()
        noisy = torch.addcmul(sounds, noise, (level / rms)[:, None])
        return noisy / noisy.abs().amax(1, keepdim=True).clamp_min(1.0)

    def _loudest(self, sounds: Tensor) -> Tensor:
        """RMS `[B]` of the loudest 20 ms: unlike that of the whole, it does not depend on how long a hit rings."""
        frame = min(round(_LEVEL_SECONDS * self.sample_rate), self.samples)
        frames = sounds[:, : self.samples // frame * frame].reshape(len(sounds), -1, frame)
        levels: Tensor = frames.square().mean(2).amax(1).sqrt()
        return levels


def _whole(draws: Tensor, count: int | Tensor) -> Tensor:
    """Uniform numbers in [0, 1) to integers 0 to count - 1, int64."""
    # Numbers drawn in double precision can be 1 in single.
    return (draws * count).long().clamp(max=count - 1)


def _stretch(width: Tensor, place: Tensor, first: Tensor, length: int, share: float) -> Tensor:
    """bool `[B, length]`: a stretch of 0 to `share` of the length, at or after `first`, drawn by the two draws."""
    free = length - first
    taken = torch.minimum(_whole(width, math.floor(share * length + 1e-6) + 1), free)
    start = first + _whole(place, free - taken + 1)
    cells = torch.arange(length, device=width.device)
    return (cells >= start[:, None]) & (cells < (start + taken)[:, None])


def _tilted(log_mels: Tensor, decibels: Tensor) -> Tensor:
    """Log-mels with a straight line over the rows added, `decibels` `[B]` higher at the last than at the first.

    The line lies so that the loudest cell keeps its level, to which `LogMel` is relative; what is at the floor
    is silence and stays so.
    """
    slope = torch.linspace(0.0, 2.0 / LogMel.FLOOR_DB, log_mels.shape[2], device=log_mels.device)
    tilted = log_mels + (decibels[:, None] * slope)[:, None, :, None]
    everything = (1, 2, 3)
    change = log_mels.amax(everything, keepdim=True) - tilted.amax(everything, keepdim=True)
    return torch.where(log_mels > _SILENCE, (tilted + change).clamp(-1.0, 1.0), log_mels)


def _pink_noise(samples: int, sample_rate: int) -> npt.NDArray[np.float32]:
    """Noise of power 1/f above 40 Hz and RMS 1, which can be looped without a click; always the same."""
    frequencies = np.fft.rfftfreq(samples, 1.0 / sample_rate)
    audible = frequencies >= _NOISE_LOWEST
    random = np.random.default_rng(_NOISE_SEED)
    spectrum = random.standard_normal((2, len(frequencies)))
    spectrum[:, audible] /= np.sqrt(frequencies[audible])
    spectrum[:, ~audible] = 0.0
    noise = np.fft.irfft(spectrum[0] + 1j * spectrum[1], samples)
    noise /= np.sqrt(np.mean(np.square(noise)))
    return noise.astype(np.float32)
