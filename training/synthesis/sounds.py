"""Sounds of touching an object of one of the 17 materials: drawing it, striking, scratching, and recording.

`draw_object` draws an object from its material's ranges, `strike` and `scratch` make dry sounds of it, and `record`
adds the acoustics of a place and the noise of a microphone.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter, oaconvolve

from training.synthesis.granular import Bubbles, Grains, bubble_cloud, crackle, hit_energy
from training.synthesis.material_sounds import MATERIAL_SOUNDS
from training.synthesis.modal import (
    Modes,
    Signal,
    click,
    draw_body,
    draw_low_body,
    impact,
    louder,
    measured_modes,
    ring,
    vary_hit,
)
from training.synthesis.scratch import Surface, friction, stroke_speed
from training.synthesis.sound_ranges import GrainRanges, Range, SoundRanges

Samples = npt.NDArray[np.float32]

LOUDEST, QUIETEST = -3.0, -30.0
"""The highest and lowest peak of a sound, in dBFS."""


@dataclass(frozen=True)
class SoundObject:
    """One object of one material: everything that its sounds have in common.

    `body`: the modes that ring when it is struck; `stick`: those of the drumstick; `build_up`: seconds until the
    whole body sounds; `contact`: seconds of the contact at a middling blow; `brightness`: low-pass of the sound in
    Hz; `click`, `body_level`: levels of the contact noise and of body with stick, in dB; `peak`: level of a
    middling blow in dBFS.
    """

    material: str
    body: Modes
    stick: Modes
    build_up: float
    click: float
    body_level: float
    contact: float
    grains: tuple[Grains, ...]
    bubbles: Bubbles | None
    surface: Surface
    brightness: float
    peak: float


def draw_object(material: str, rng: np.random.Generator) -> SoundObject:
    """Draw an object of `material` (its name as in model.materials). Raises KeyError for any other name."""
    recipe = MATERIAL_SOUNDS[material]
    return SoundObject(
        material=material,
        body=_draw_modes(recipe, rng),
        stick=louder(
            draw_body(measured_modes("wood_hard_2"), rng, pitch=rng.uniform(1.5, 2.5), ring=0.5),
            _flat(recipe.stick, rng),
        ),
        build_up=_log(recipe.build_up, rng),
        click=_flat(recipe.click, rng),
        body_level=_flat(recipe.body_level, rng),
        contact=_log(recipe.contact, rng),
        grains=tuple(_draw_grains(grain, rng) for grain in recipe.grains),
        bubbles=_draw_bubbles(recipe, rng),
        surface=Surface(
            seed=int(rng.integers(2**31)),
            roughness=_log(recipe.roughness, rng),
            slope=_flat(recipe.slope, rng),
            chatter=_flat(recipe.chatter, rng),
            ridges=_log(recipe.ridges, rng) if rng.random() < recipe.ridged else 0.0,
            squeak=rng.uniform(1000.0, 4000.0) if rng.random() < recipe.squeaky else 0.0,
            hertz=_log(recipe.rub_hertz, rng),
            level=_flat(recipe.rub_level, rng),
        ),
        brightness=_log(recipe.brightness, rng),
        peak=_flat(recipe.peak, rng),
    )


def strike(thing: SoundObject, rng: np.random.Generator, sample_rate: int, seconds: float) -> Samples:
    """One blow with a drumstick at time 0, float32 `[round(seconds * sample_rate)]`, peak -30 to -3 dBFS.

    Each call gives another blow on the same object: place, force and every grain are drawn from `rng`.
    """
    samples = round(seconds * sample_rate)
    force = rng.standard_normal()
    # A harder blow is shorter and brighter as well as louder.
    modes = vary_hit(thing.body, rng) + vary_hit(thing.stick, rng)
    touch = thing.contact * 2.0 ** (-0.25 * force)
    # It takes time until the whole body sounds; the contact itself is heard at once.
    spread = 1.0 - np.exp(-(np.arange(samples) + 1.0) / (thing.build_up * sample_rate))
    sound = _unit(impact(modes, touch, sample_rate, samples) * spread)
    sound += _gain(thing.click + rng.standard_normal()) * _unit(click(touch, rng, sample_rate, samples))
    sound *= _gain(thing.body_level)
    for grains in thing.grains:
        energy = hit_energy(grains, sample_rate, samples)
        sound += _gain(grains.level + rng.standard_normal()) * _unit(crackle(grains, energy, rng, sample_rate))
    if thing.bubbles is not None:
        onsets = rng.exponential(thing.bubbles.spread, max(1, rng.poisson(thing.bubbles.count)))
        onsets = onsets[onsets < seconds]
        cloud = bubble_cloud(thing.bubbles, onsets, rng, sample_rate, samples, thing.bubbles.spread)
        sound += _gain(thing.bubbles.level) * _unit(cloud)
    sound = _low_pass(sound, thing.brightness * 2.0 ** (0.2 * force), sample_rate)
    return _finish(sound, thing.peak + 3.0 * force, sample_rate)


def scratch(thing: SoundObject, rng: np.random.Generator, sample_rate: int, seconds: float) -> Samples:
    """One to four strokes with a drumstick from time 0 on, float32 `[round(seconds * sample_rate)]`.

    The peak is -30 to -3 dBFS, lower for smoother surfaces.
    """
    samples = round(seconds * sample_rate)
    surface = thing.surface
    speed = stroke_speed(rng, sample_rate, samples)
    modes = louder(vary_hit(thing.body, rng), 0.0) + louder(thing.stick, -6.0)
    response = ring(modes, sample_rate, samples)
    rubbing = friction(surface, speed, rng, sample_rate)
    # Half of the friction is heard directly, half through the vibrating body.
    direct = _unit_rms(rubbing) + _unit_rms(oaconvolve(rubbing, response)[:samples])
    sound = _gain(surface.level) * direct
    for grains in thing.grains:
        moved = crackle(grains, np.clip(speed, 0.0, 1.0) ** 1.5, rng, sample_rate)
        sound += _gain(grains.level) * _unit_rms(moved)
    if thing.bubbles is not None:
        onsets = np.sort(rng.uniform(0.0, seconds, max(1, rng.poisson(2.0 * thing.bubbles.count * seconds))))
        stirred = onsets[rng.random(len(onsets)) < speed[np.minimum(onsets * sample_rate, samples - 1).astype(int)]]
        cloud = bubble_cloud(thing.bubbles, stirred, rng, sample_rate, samples)
        sound += _gain(thing.bubbles.level) * _unit_rms(cloud)
    sound = _low_pass(sound, thing.brightness, sample_rate)
    # The rule of Clatter: loudness grows with the roughness to the power 0.7; at 5 microns it is 6 dB below a blow.
    peak = thing.peak - 6.0 + 14.0 * np.log10(surface.roughness / 5e-6) + 2.0 * rng.standard_normal()
    return _finish(sound, float(peak), sample_rate)


def _draw_modes(recipe: SoundRanges, rng: np.random.Generator) -> Modes:
    modes = Modes((), (), ())
    if recipe.bodies:
        name = recipe.bodies[int(rng.integers(len(recipe.bodies)))]
        modes += draw_body(measured_modes(name), rng, _log(recipe.pitch, rng), _log(recipe.ring, rng))
    hertz, rt60, level = _log(recipe.low_hertz, rng), _log(recipe.low_rt60, rng), _flat(recipe.low_level, rng)
    if not recipe.bodies or rng.random() < recipe.low_chance:
        modes += draw_low_body(hertz, rt60, level, rng)
    return modes


def _draw_grains(grain: GrainRanges, rng: np.random.Generator) -> Grains:
    return Grains(
        rate=_log(grain.rate, rng),
        grain=_log(grain.grain, rng),
        settle=_log(grain.settle, rng),
        rise=grain.rise,
        hertz=_log(grain.hertz, rng),
        bandwidth=_log(grain.bandwidth, rng),
        level=_flat(grain.level, rng),
    )


def _draw_bubbles(recipe: SoundRanges, rng: np.random.Generator) -> Bubbles | None:
    if recipe.bubbles is None:
        return None
    return Bubbles(
        count=_log(recipe.bubbles, rng),
        smallest=_log((0.7e-3, 1.5e-3), rng),
        largest=_log((3.5e-3, 9e-3), rng),
        spread=_log((0.06, 0.2), rng),
        level=_flat((-9.0, 0.0), rng),
    )


def _log(span: Range, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(span[0]), np.log(span[1]))))


def _flat(span: Range, rng: np.random.Generator) -> float:
    return float(rng.uniform(*span))


def _gain(decibels: float) -> float:
    return float(10.0 ** (decibels / 20.0))


def _unit(signal: Signal) -> Signal:
    peak = float(np.abs(signal).max(initial=0.0))
    return signal / peak if peak > 0.0 else signal


def _unit_rms(signal: Signal) -> Signal:
    rms = float(np.sqrt(np.mean(signal * signal)))
    return signal / rms if rms > 0.0 else signal


def _low_pass(signal: Signal, hertz: float, sample_rate: int) -> Signal:
    """Two one-pole low-passes in a row: 12 dB an octave without ringing."""
    if hertz > 0.4 * sample_rate:
        return signal
    fade = float(np.exp(-2.0 * np.pi * hertz / sample_rate))
    once = 1.0 - fade
    filtered: Signal = lfilter([once * once], [1.0, -2.0 * fade, fade * fade], signal)
    return filtered


def _finish(sound: Signal, peak: float, sample_rate: int) -> Samples:
    """Scale to the peak in dBFS, limited to the allowed levels, and fade out the last 5 ms against a click."""
    fade = min(len(sound), round(0.005 * sample_rate))
    if fade:
        sound[-fade:] *= np.linspace(1.0, 0.0, fade)
    level = float(np.clip(peak, QUIETEST, LOUDEST))
    return (_unit(sound) * _gain(level)).astype(np.float32)


OUTDOORS = frozenset({"dirt", "grass", "gravel", "leaf", "rock", "water"})
"""Materials that are recorded outdoors."""

_FIRST_REFLECTION = 0.004
_FULL_SCALE = 0.98


@dataclass(frozen=True)
class Acoustics:
    """The acoustics of a place, with a microphone.

    `seed`: of the reflections; `rt60`: their reverberation time in seconds (60 dB); `wet`: their level in dB
    against the direct sound; `distance`: low-pass of the air between object and microphone, in Hz; `noise`:
    background in dBFS (RMS); `rumble`: its colour, from 0 (white noise) to 1 (wind and traffic).
    """

    seed: int
    rt60: float
    wet: float
    distance: float
    noise: float
    rumble: float


def draw_acoustics(rng: np.random.Generator, outdoors: bool) -> Acoustics:
    """Draw the acoustics of a place; outdoors it has less reverberation and more noise than indoors."""
    return Acoustics(
        seed=int(rng.integers(2**31)),
        rt60=rng.uniform(0.1, 0.25) if outdoors else rng.uniform(0.15, 0.5),
        wet=rng.uniform(-32.0, -24.0) if outdoors else rng.uniform(-24.0, -14.0),
        distance=rng.uniform(9_000.0, 18_000.0),
        noise=rng.uniform(-66.0, -52.0) if outdoors else rng.uniform(-75.0, -60.0),
        rumble=rng.uniform(0.5, 1.0) if outdoors else rng.uniform(0.0, 0.8),
    )


def record(samples: Samples, acoustics: Acoustics, rng: np.random.Generator, sample_rate: int) -> Samples:
    """Dry `samples [n]` as recorded in a place: with reverberation and background noise, float32 `[n]`.

    `rng` draws the background noise. A sound that would clip is scaled down, others keep their level.
    """
    dry = samples.astype(np.float64)
    if acoustics.distance < 0.4 * sample_rate:
        fade = float(np.exp(-2.0 * np.pi * acoustics.distance / sample_rate))
        dry = lfilter([1.0 - fade], [1.0, -fade], dry)
    heard = dry + oaconvolve(dry, _reflections(acoustics, sample_rate))[: len(dry)]
    heard += 10.0 ** (acoustics.noise / 20.0) * _background(acoustics, rng, len(dry))
    peak = float(np.abs(heard).max(initial=0.0))
    return (heard * min(1.0, _FULL_SCALE / max(peak, _FULL_SCALE))).astype(np.float32)


def _reflections(acoustics: Acoustics, sample_rate: int) -> Signal:
    """Impulse response of the place without the direct sound; its energy is `acoustics.wet` dB."""
    samples = max(2, round(acoustics.rt60 * sample_rate))
    time = np.arange(samples) / sample_rate
    decay = 10.0 ** (-3.0 * time / acoustics.rt60)
    response = np.random.default_rng(acoustics.seed).standard_normal(samples) * decay
    response[: round(_FIRST_REFLECTION * sample_rate)] = 0.0
    response = lfilter([0.5], [1.0, -0.5], response)  # walls absorb high frequencies most
    scaled: Signal = response * (10.0 ** (acoustics.wet / 20.0) / np.sqrt(np.sum(response * response)))
    return scaled


def _background(acoustics: Acoustics, rng: np.random.Generator, samples: int) -> Signal:
    """Background noise `[samples]` with RMS 1."""
    white = rng.standard_normal(samples)
    low = lfilter([0.1], [1.0, -0.99], white)
    noise: Signal = (1.0 - acoustics.rumble) * white + acoustics.rumble * 3.0 * low
    return noise / max(float(np.sqrt(np.mean(noise * noise))), 1e-12)
