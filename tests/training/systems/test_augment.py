"""Augmentation of pictures and sounds: what each option promises, and that it never waits for the device."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor
from torchvision.transforms import functional as vision

from model.bundle import ClipSpec
from model.errors import TrainingError
from model.torch_towers.spectrogram import LogMel
from tests.training.meta import OnlyOnMeta
from training.systems import augment_pictures as pictures_room
from training.systems import augment_sounds as sounds_room
from training.systems.augment_pictures import PICTURE_DRAWS, PictureAugment, augment_pictures
from training.systems.augment_sounds import SOUND_DRAWS, SoundAugment, SoundAugmenter

RATE = 8_000
STORED = ClipSpec(sample_rate=RATE, before=0.3, after=0.7)
WINDOW = ClipSpec(sample_rate=RATE, before=0.1, after=0.4)
HIT, BEFORE = 2_400, 800
LARGEST = float(np.nextafter(np.float32(1), np.float32(0)))

ALL_PICTURES = PictureAugment(flip=0.5, crop=0.4, jitter=0.4, blur=0.5)
ALL_SOUNDS = SoundAugment(
    shift=0.05, speed=0.1, least_tail=0.1, noise=0.5, tilt_db=6.0, time_mask=0.3, band_mask=0.3
)
OFF = SoundAugment()

unit = st.floats(0.0, LARGEST, width=32)


def rows(count: int) -> st.SearchStrategy[Tensor]:
    """Three rows of draws, the ends of the range among them."""
    row = st.lists(unit, min_size=count, max_size=count)
    return st.lists(row, min_size=3, max_size=3).map(lambda values: torch.tensor(values, dtype=torch.float32))


def draws(count: int, size: int = 1, **columns: float | Sequence[float]) -> Tensor:
    """Draws in the middle of their range but for the columns named, by the room's names for them."""
    room = sounds_room if count == SOUND_DRAWS else pictures_room
    values = torch.full((size, count), 0.5)
    for name, value in columns.items():
        values[:, getattr(room, f"_{name.upper()}")] = torch.as_tensor(value)
    return values


def sound_draws(size: int = 1, **columns: float | Sequence[float]) -> Tensor:
    return draws(SOUND_DRAWS, size, **columns)


def picture_draws(size: int = 1, **columns: float | Sequence[float]) -> Tensor:
    return draws(PICTURE_DRAWS, size, **columns)


def random_pictures(count: int, low: int = 0, high: int = 256) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(low, high, (count, 32, 32, 3), np.uint8))


def random_clips(count: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(2).integers(-32767, 32768, (count, STORED.samples), np.int16))


def clicks(count: int = 1) -> Tensor:
    """Silence but for a full-scale sample at the hit."""
    clips = torch.zeros(count, STORED.samples, dtype=torch.int16)
    clips[:, HIT] = 32767
    return clips


def augmenter(window: ClipSpec = WINDOW, **options: Any) -> SoundAugmenter:
    return SoundAugmenter(SoundAugment(**options), STORED, window)


# --- Pictures


@pytest.mark.parametrize("flip", [0.0, 0.5, 1.0])
def test_a_flip_alone_is_exactly_the_flipped_pictures(flip: float) -> None:
    pictures = random_pictures(2)
    result = augment_pictures(pictures, picture_draws(2, flip=[0.2, 0.8]), PictureAugment(flip=flip))
    for row, value in enumerate([0.2, 0.8]):
        expected = pictures[row].flip(1) if value < flip else pictures[row]
        assert torch.equal(result[row], expected.float())


def gradient(size: int = 64) -> Tensor:
    """A picture `[1, size, size, 3]` whose red is four times the column and whose green four times the row."""
    place = 4 * torch.arange(size)
    picture = torch.zeros(1, size, size, 3)
    picture[..., 0], picture[..., 1] = place[None, None, :], place[None, :, None]
    return picture.to(torch.uint8)


@given(rows(PICTURE_DRAWS), st.floats(0.1, 0.99))
@settings(max_examples=60, deadline=None)
def test_a_crop_keeps_its_area_and_aspect_and_stays_inside(values: Tensor, crop: float) -> None:
    picture = gradient()
    result = augment_pictures(picture.expand(3, -1, -1, -1), values, PictureAugment(flip=0.5, crop=crop))
    middle = result[:, 31:33, 31:33]
    step_x = (middle[:, 0, 1, 0] - middle[:, 0, 0, 0]) / 4
    step_y = (middle[:, 1, 0, 1] - middle[:, 0, 0, 1]) / 4
    area = step_x.abs() * step_y
    expected = crop + (1.0 - crop) * values[:, pictures_room._AREA]
    torch.testing.assert_close(area, expected, atol=2e-3, rtol=0)
    aspect = step_x.abs() / step_y
    assert bool(((aspect > 0.74) & (aspect < 1.35)).all())
    flipped = values[:, pictures_room._FLIP] < 0.5
    assert torch.equal(step_x < 0, flipped)
    # A rectangle inside of the picture: its corners' centres are at least half a step from the edge.
    assert float(result[..., :2].amin()) >= 0.0
    assert float(result[..., :2].amax()) <= 4 * 63


def test_crops_reach_every_side_and_a_whole_crop_is_the_picture() -> None:
    augment = PictureAugment(flip=0.0, crop=0.25)
    corner = augment_pictures(gradient(), picture_draws(area=0.0, left=0.0, top=LARGEST), augment)[0]
    assert float(corner[0, 0, 0]) == 0.0
    assert float(corner[-1, 0, 1]) == 4 * 63
    whole = augment_pictures(random_pictures(1), picture_draws(area=LARGEST), augment)
    torch.testing.assert_close(whole, random_pictures(1).float(), atol=0.05, rtol=0)


@given(rows(PICTURE_DRAWS), st.floats(0.05, 0.3))
@settings(max_examples=30, deadline=None)
def test_jitter_is_brightness_then_contrast_then_saturation(values: Tensor, jitter: float) -> None:
    pictures = random_pictures(3, 110, 140)  # so that nothing needs clamping on the way
    result = augment_pictures(pictures, values, PictureAugment(flip=0.0, jitter=jitter))
    for row in range(3):
        factors = [
            1.0 + jitter * (2.0 * float(values[row, column]) - 1.0)
            for column in (pictures_room._BRIGHTNESS, pictures_room._CONTRAST, pictures_room._SATURATION)
        ]
        assert all(1.0 - jitter - 1e-6 <= factor <= 1.0 + jitter + 1e-6 for factor in factors)
        expected = pictures[row].permute(2, 0, 1).float() / 255.0
        for adjust, factor in zip(
            (vision.adjust_brightness, vision.adjust_contrast, vision.adjust_saturation), factors, strict=True
        ):
            expected = adjust(expected, factor)
        torch.testing.assert_close(result[row], 255.0 * expected.permute(1, 2, 0), atol=0.1, rtol=0)


def test_blur_is_gaussian_and_leaves_pictures_that_are_not_chosen_alone() -> None:
    pictures = random_pictures(3)
    values = picture_draws(3, blur=[0.2, 0.8, 0.2], sigma=[LARGEST, 0.5, 0.0])
    result = augment_pictures(pictures, values, PictureAugment(flip=0.0, blur=0.5))
    assert torch.equal(result[1], pictures[1].float())
    inside = (slice(2, -2), slice(2, -2))
    for row, sigma in ((0, 1.0), (2, 0.3)):
        expected = vision.gaussian_blur(pictures[row].permute(2, 0, 1).float(), [5, 5], [sigma, sigma])
        torch.testing.assert_close(result[row][inside], expected.permute(1, 2, 0)[inside], atol=1e-2, rtol=0)
    plain = torch.full((1, 32, 32, 3), 255, dtype=torch.uint8)
    torch.testing.assert_close(augment_pictures(plain, values[:1], PictureAugment(blur=1.0)), plain.float())


@given(rows(PICTURE_DRAWS))
@settings(max_examples=40, deadline=None)
def test_varied_pictures_are_finite_and_in_range(values: Tensor) -> None:
    result = augment_pictures(random_pictures(3), values, PictureAugment(flip=0.5, crop=0.1, jitter=0.9, blur=1.0))
    assert result.shape == (3, 32, 32, 3)
    assert result.dtype == torch.float32
    assert bool(((result >= 0.0) & (result <= 255.0)).all())


# --- Windows


@pytest.mark.parametrize("values", [None, sound_draws(4)])
def test_with_everything_off_a_window_is_exactly_the_slice(values: Tensor | None) -> None:
    clips = random_clips(4)
    slice_ = clips.numpy()[:, HIT - BEFORE : HIT - BEFORE + WINDOW.samples]
    expected = slice_.astype(np.float32) / np.float32(32767.0)
    result = SoundAugmenter(OFF, STORED, WINDOW).windows(clips, values)
    assert np.array_equal(result.numpy(), expected)


def test_without_draws_nothing_is_varied() -> None:
    varying, plain = SoundAugmenter(ALL_SOUNDS, STORED, WINDOW), SoundAugmenter(OFF, STORED, WINDOW)
    assert torch.equal(varying.windows(random_clips(2)), plain.windows(random_clips(2)))
    log_mels = torch.rand(2, 3, 16, 16)
    assert torch.equal(varying.spectrograms(log_mels), log_mels)
    assert torch.equal(plain.spectrograms(log_mels, sound_draws(2)), log_mels)


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.4), (0.1, 1.0), (0.5, 1.5), (0.0, 0.7)])
def test_a_wider_window_is_silent_where_the_clip_holds_nothing(before: float, after: float) -> None:
    window = ClipSpec(sample_rate=RATE, before=before, after=after)
    clips = random_clips(1)
    around = np.pad(clips.numpy()[0], RATE)  # a second of silence on either side
    start = RATE + HIT - round(before * RATE)
    expected = around[start : start + window.samples].astype(np.float32) / np.float32(32767.0)
    assert np.array_equal(augmenter(window).windows(clips)[0].numpy(), expected)
    # The gathering path agrees with the slicing one, there too.
    still = augmenter(window, speed=0.1).windows(clips, sound_draws(speed=0.5))
    np.testing.assert_allclose(still[0].numpy(), expected, atol=1e-6)


@given(unit)
@settings(max_examples=60, deadline=None)
def test_a_shift_moves_the_window_by_whole_samples_inside_the_clip(value: float) -> None:
    clips = random_clips(1)
    room = augmenter(shift=0.05)
    assert room.shifts == range(-400, 401)
    shift = room.shifts[int(np.float32(value) * np.float32(801))]
    start = HIT - BEFORE + shift
    expected = clips[:, start : start + WINDOW.samples].float() / torch.tensor(32767.0)
    assert torch.equal(room.windows(clips, sound_draws(shift=value)), expected)


@pytest.mark.parametrize(
    ("before", "after", "shifts"),
    [
        (0.1, 0.4, range(-1_600, 801)),  # as far back as the clip goes, and on until the hit is the first sample
        (0.3, 0.7, range(1)),  # all that the clip holds
        (0.3, 0.6, range(801)),
        (0.5, 0.4, range(2_401)),  # silence before the clip need not grow
        (0.2, 0.9, range(-800, 1)),
        (0.0, 0.01, range(-79, 1)),
    ],
)
def test_a_shift_never_reads_outside_nor_loses_the_hit(before: float, after: float, shifts: range) -> None:
    window = ClipSpec(sample_rate=RATE, before=before, after=after)
    room = augmenter(window, shift=5.0)
    assert room.shifts == shifts
    clips = torch.ones(3, STORED.samples, dtype=torch.int16)
    clips[:, HIT] = 32767
    result = room.windows(clips, sound_draws(3, shift=[0.0, 0.5, LARGEST]))
    assert bool((result.amax(1) == 1.0).all())
    silent = (augmenter(window).windows(clips[:1]) == 0.0).sum()
    assert bool(((result == 0.0).sum(1) <= silent).all())


@given(unit, unit)
@settings(max_examples=60, deadline=None)
def test_the_hit_stays_in_its_place_at_any_speed(shift: float, speed: float) -> None:
    room = augmenter(shift=0.05, speed=0.2)
    result = room.windows(clicks(), sound_draws(shift=shift, speed=speed))[0]
    place = BEFORE - room.shifts[int(np.float32(shift) * np.float32(801))]
    assert int(result.argmax()) == place
    assert float(result[place]) == 1.0
    assert float(result.sum()) < 2.5  # at a slower rate the click is broader, by its neighbours


@pytest.mark.parametrize(("value", "rate"), [(0.0, 0.8), (0.5, 1.0), (LARGEST, 1.2)])
def test_speed_changes_the_pitch(value: float, rate: float) -> None:
    time = (np.arange(STORED.samples) - HIT) / RATE
    clips = torch.from_numpy(np.round(32767 * np.sin(2 * np.pi * 100 * time)).astype(np.int16))[None]
    result = augmenter(speed=0.2).windows(clips, sound_draws(speed=value))[0]
    expected = np.sin(2 * np.pi * 100 * rate * (np.arange(WINDOW.samples) - BEFORE) / RATE)
    np.testing.assert_allclose(result.numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("shift", [0.0, 0.5, LARGEST])
def test_the_tail_is_silent_from_the_drawn_time_on(shift: float) -> None:
    clips = torch.full((1, STORED.samples), 32767, dtype=torch.int16)
    room = augmenter(shift=0.05, least_tail=0.1)
    result = room.windows(clips, sound_draws(shift=shift, tail=0.25))[0]
    hit = BEFORE - room.shifts[int(np.float32(shift) * np.float32(801))]
    end = WINDOW.samples - hit
    silent = hit + 0.1 * RATE + 0.25 * (end - 0.1 * RATE)
    assert bool((result[int(silent) + 1 :] == 0.0).all())
    assert bool((result[: int(silent - 0.010 * RATE)] == 1.0).all())
    middle = float(result[round(silent - 0.005 * RATE)])
    assert middle == pytest.approx(0.5, abs=0.02)
    assert bool((result.diff() <= 0.0).all())


def test_noise_has_the_promised_level_and_is_the_same_for_the_same_draws() -> None:
    clips = torch.full((3, STORED.samples), 3277, dtype=torch.int16)
    room = augmenter(noise=0.5, noise_db=(10.0, 30.0))
    values = sound_draws(3, noise=[0.2, 0.2, 0.8], noise_level=[0.0, LARGEST, 0.0], noise_place=[0.1, LARGEST, 0.3])
    result = room.windows(clips, values)
    noise = result - room.windows(clips)
    level = 20 * noise.square().mean(1).sqrt().log10()
    assert level[:2].tolist() == pytest.approx([-30.0, -50.0], abs=0.05)
    assert torch.equal(noise[2], torch.zeros(WINDOW.samples))
    again = SoundAugmenter(room.augment, STORED, WINDOW).windows(clips, values)
    assert torch.equal(result, again)
    elsewhere = room.windows(clips, sound_draws(3, noise=0.2, noise_level=0.0, noise_place=0.5))
    assert not torch.equal(result[0], elsewhere[0])


def test_noise_is_pink() -> None:
    noise = sounds_room._pink_noise(4 * RATE, RATE)
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = [power[4 * low : 8 * low].sum() for low in (100, 200, 400, 800, 1600)]
    assert 10 * np.log10(max(octaves) / min(octaves)) < 2.0
    assert power[: 4 * 40].sum() < 1e-6 * power.sum()


def test_loud_noise_scales_down_instead_of_clipping_and_silence_stays_silent() -> None:
    room = augmenter(noise=1.0, noise_db=(0.0, 0.0))
    clips = random_clips(2)
    clips[1] = 0
    result = room.windows(clips, sound_draws(2))
    assert float(result[0].abs().amax()) == 1.0
    quiet = torch.div(clips, 100, rounding_mode="trunc").to(torch.int16)
    same = room.windows(quiet, sound_draws(2))[0]
    torch.testing.assert_close(result[0] / result[0].std(), same / same.std(), atol=0.03, rtol=0)
    assert torch.equal(result[1], torch.zeros(WINDOW.samples))


@given(rows(SOUND_DRAWS))
@settings(max_examples=40, deadline=None)
def test_varied_windows_and_spectrograms_are_finite_and_in_range(values: Tensor) -> None:
    room = SoundAugmenter(ALL_SOUNDS, STORED, WINDOW)
    windows = room.windows(random_clips(3), values)
    assert windows.shape == (3, WINDOW.samples)
    assert windows.dtype == torch.float32
    assert bool((windows.abs() <= 1.0).all())
    log_mels = LogMel(RATE, WINDOW.samples, 32)(windows)
    result = room.spectrograms(log_mels, values)
    assert result.shape == (3, 3, 32, 32)
    assert bool((result.abs() <= 1.0).all())


def test_a_draw_that_rounding_made_one_is_the_last() -> None:
    room = augmenter(shift=0.05, noise=1.0, time_mask=0.5)
    ones = torch.ones(2, SOUND_DRAWS)
    last = torch.full((2, SOUND_DRAWS), LARGEST)
    for values in (ones, last):
        values[:, sounds_room._NOISE] = 0.0
    torch.testing.assert_close(room.windows(random_clips(2), ones), room.windows(random_clips(2), last))
    log_mels = torch.rand(2, 3, 32, 32)
    assert torch.equal(room.spectrograms(log_mels, ones), room.spectrograms(log_mels, last))


# --- Spectrograms


@given(unit, unit, unit, st.floats(0.05, 1.0))
@settings(max_examples=100, deadline=None)
def test_the_time_mask_lies_after_the_hit(shift: float, width: float, place: float, share: float) -> None:
    room = augmenter(shift=0.05, time_mask=share)
    values = sound_draws(shift=shift, time_width=width, time_place=place)
    result = room.spectrograms(torch.ones(1, 3, 40, 50), values)
    masked = (result == -1.0).all(dim=1)[0].all(dim=0)
    assert torch.equal(result[0], torch.where(masked, -1.0, 1.0).expand(3, 40, 50))
    assert int(masked.sum()) <= share * 50 + 1e-6
    hit = (BEFORE - room.shifts[int(np.float32(shift) * np.float32(801))]) / WINDOW.samples
    first = (torch.arange(50) / 50)[masked]
    assert len(first) == 0 or float(first[0]) >= hit + 0.03 - 1e-6
    edges = masked.int().diff().abs().sum()
    assert int(edges) <= 2  # one stretch


@pytest.mark.parametrize("place", [0.0, 0.5, LARGEST])
def test_masks_reach_the_width_asked_for(place: float) -> None:
    room = augmenter(time_mask=0.3, band_mask=0.2)
    values = sound_draws(time_width=LARGEST, band_width=LARGEST, time_place=place, band_place=place)
    result = room.spectrograms(torch.ones(1, 1, 40, 50), values)[0, 0]
    columns, bands = (result == -1.0).all(dim=0), (result == -1.0).all(dim=1)
    assert int(columns.sum()) == 15
    assert int(bands.sum()) == 8
    if place == 0.0:
        assert bool(columns[12])  # the hit is at column 10, the margin is 1.5
        assert not bool(columns[11])
        assert bool(bands[0])
    elif place == LARGEST:
        assert bool(columns[-1])
        assert bool(bands[-1])
    narrow = room.spectrograms(torch.ones(1, 1, 40, 50), sound_draws(time_width=0.0, band_width=0.0))
    assert bool((narrow == 1.0).all())


def test_the_time_mask_spares_the_column_of_the_hit_wherever_the_window_moved() -> None:
    room = augmenter(shift=0.05, speed=0.1, time_mask=1.0)
    size = 33
    values = sound_draws(
        size, shift=torch.linspace(0, LARGEST, size).tolist(), time_width=LARGEST, time_place=0.0, speed=0.2
    )
    log_mels = LogMel(RATE, WINDOW.samples, 64)(room.windows(clicks(size), values))
    result = room.spectrograms(log_mels, values)
    hit = log_mels.mean(dim=(1, 2)).argmax(dim=1)
    index = hit[:, None, None, None].expand(-1, 3, 64, 1)
    assert torch.equal(result.gather(3, index), log_mels.gather(3, index))
    assert bool((result[..., -1] == -1.0).all())


@given(unit, st.floats(0.5, 20.0))
@settings(max_examples=40, deadline=None)
def test_tilt_changes_high_rows_against_low_ones_by_what_was_drawn(value: float, most: float) -> None:
    log_mels = torch.rand(1, 3, 24, 16) - 0.5
    result = augmenter(tilt_db=most).spectrograms(log_mels, sound_draws(tilt=value))
    change = (result - log_mels)[0]
    drawn = (2.0 * value - 1.0) * most
    assert (change[:, -1] - change[:, 0]).mul(40.0).mean().item() == pytest.approx(drawn, abs=1e-3)
    middle = (change[:, 12] - change[:, 0]).mul(40.0).mean().item()
    assert middle == pytest.approx(drawn * 12 / 23, abs=1e-3)
    assert float(result.amax()) == pytest.approx(float(log_mels.amax()), abs=1e-5)


def test_tilt_leaves_silence_alone() -> None:
    log_mels = torch.full((2, 3, 24, 16), -1.0)
    log_mels[0, :, :, 3] = 0.9
    result = augmenter(tilt_db=10.0).spectrograms(log_mels, sound_draws(2, tilt=0.0))
    silent = log_mels == -1.0
    assert bool((result[silent] == -1.0).all())
    assert float(result[0, 0, 0, 3]) > float(result[0, 0, -1, 3])


# --- The whole batch


def test_a_row_does_not_hang_on_the_others_of_its_batch() -> None:
    generator = torch.Generator().manual_seed(5)
    pictures, clips = random_pictures(4), random_clips(4)
    of_pictures = torch.rand(4, PICTURE_DRAWS, generator=generator)
    of_sounds = torch.rand(4, SOUND_DRAWS, generator=generator)
    of_sounds[:, sounds_room._NOISE] = 0.0
    room, log_mel = SoundAugmenter(ALL_SOUNDS, STORED, WINDOW), LogMel(RATE, WINDOW.samples, 32)

    def varied(part: slice) -> tuple[Tensor, Tensor, Tensor]:
        windows = room.windows(clips[part], of_sounds[part])
        spectrograms = room.spectrograms(log_mel(windows), of_sounds[part])
        return augment_pictures(pictures[part], of_pictures[part], ALL_PICTURES), windows, spectrograms

    together = varied(slice(0, 4))
    for row in range(4):
        for whole, alone in zip(together, varied(slice(row, row + 1)), strict=True):
            torch.testing.assert_close(whole[row : row + 1], alone, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("options", [ALL_SOUNDS, SoundAugment(shift=0.05), OFF])
def test_nothing_waits_for_the_device(options: SoundAugment) -> None:
    room = SoundAugmenter(options, STORED, WINDOW).to("meta")
    pictures = random_pictures(3).to("meta")
    values = torch.rand(3, SOUND_DRAWS, device="meta")
    clips, log_mels = random_clips(3).to("meta"), torch.rand(3, 3, 32, 32, device="meta")
    with OnlyOnMeta():
        assert augment_pictures(pictures, values[:, :PICTURE_DRAWS], ALL_PICTURES).shape == (3, 32, 32, 3)
        assert room.windows(clips, values).shape == (3, WINDOW.samples)
        assert room.spectrograms(log_mels, values).shape == (3, 3, 32, 32)


@pytest.mark.parametrize(
    "reads",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 0.5],
        lambda x: x + torch.ones(3),
        lambda x: torch.tensor([1.0], device="meta"),
    ],
)
def test_the_check_above_finds_what_would_wait(reads: Callable[[Tensor], object]) -> None:
    with pytest.raises((AssertionError, RuntimeError, NotImplementedError)), OnlyOnMeta():
        reads(torch.rand(3, device="meta"))


def test_the_augmenter_adds_nothing_to_a_checkpoint() -> None:
    room = SoundAugmenter(ALL_SOUNDS, STORED, WINDOW)
    assert not room.state_dict()
    assert not list(room.parameters())


# --- Bad settings


def test_clips_at_another_rate_are_refused() -> None:
    with pytest.raises(TrainingError, match=r"stored at 8,000 Hz.* 16,000 Hz"):
        SoundAugmenter(OFF, STORED, ClipSpec(sample_rate=16_000))


@pytest.mark.parametrize(
    ("kind", "settings_", "key"),
    [
        (PictureAugment, {"erase": 0.1}, "erase"),
        (PictureAugment, {"crop": 0.0}, "crop"),
        (PictureAugment, {"flip": float("nan")}, "flip"),
        (PictureAugment, {"jitter": 1.0}, "jitter"),
        (SoundAugment, {"speed": 0.9}, "speed"),
        (SoundAugment, {"least_tail": 0.0}, "least_tail"),
        (SoundAugment, {"noise_db": [30.0, 10.0]}, "noise_db"),
        (SoundAugment, {"noise_db": [float("inf"), float("inf")]}, "noise_db"),
        (SoundAugment, {"time_mask": 1.5}, "time_mask"),
    ],
)
def test_impossible_settings_are_refused_by_name(
    kind: type[PictureAugment] | type[SoundAugment], settings_: dict[str, Any], key: str
) -> None:
    with pytest.raises(ValidationError, match=key):
        kind.model_validate(settings_)
