"""Striking and scratching an object of one of the 17 materials."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter, oaconvolve

from training.synthesis.granular import Bubbles, Grains, bubble_cloud, crackle, hit_energy
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
from training.synthesis.sound_recipe import GrainRecipe, Range, Recipe
from training.synthesis.sound_recipes import RECIPES

Samples = npt.NDArray[np.float32]

LOUDEST, QUIETEST = -3.0, -30.0


@dataclass(frozen=True)
class SoundObject:
    """One object of one material: everything that its sounds share.

    `body` rings when struck (None for loose matter without a thud), `stick` is the drumstick that strikes,
    `contact` the seconds they touch at a middling blow, `brightness` the low-pass in Hz of all it gives off, and
    `peak` the level of a middling blow in dBFS.
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
    recipe = RECIPES[material]
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

    Another state of `rng` gives another blow on the same object: place, force and every grain differ.
    """
    samples = round(seconds * sample_rate)
    force = rng.standard_normal()
    # A harder blow is shorter and brighter as well as louder.
    modes = vary_hit(thing.body, rng) + vary_hit(thing.stick, rng)
    touch = thing.contact * 2.0 ** (-0.25 * force)
    # Waves spread through a body before it sounds as a whole; the contact itself is heard at once.
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

    The peak is -30 to -3 dBFS, the lower the smoother the surface.
    """
    samples = round(seconds * sample_rate)
    surface = thing.surface
    speed = stroke_speed(rng, sample_rate, samples)
    modes = louder(vary_hit(thing.body, rng), 0.0) + louder(thing.stick, -6.0)
    response = ring(modes, sample_rate, samples)
    rubbing = friction(surface, speed, rng, sample_rate)
    # Half of the friction is heard from the contact itself, half through the body it shakes.
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
    # Clatter's rule: a scrape is louder with the 0.7th power of the roughness; 5 microns lie 6 dB below a blow.
    peak = thing.peak - 6.0 + 14.0 * np.log10(surface.roughness / 5e-6) + 2.0 * rng.standard_normal()
    return _finish(sound, float(peak), sample_rate)


def _draw_modes(recipe: Recipe, rng: np.random.Generator) -> Modes:
    modes = Modes((), (), ())
    if recipe.bodies:
        name = recipe.bodies[int(rng.integers(len(recipe.bodies)))]
        modes += draw_body(measured_modes(name), rng, _log(recipe.pitch, rng), _log(recipe.ring, rng))
    hertz, rt60, level = _log(recipe.low_hertz, rng), _log(recipe.low_rt60, rng), _flat(recipe.low_level, rng)
    if not recipe.bodies or rng.random() < recipe.low_chance:
        modes += draw_low_body(hertz, rt60, level, rng)
    return modes


def _draw_grains(grain: GrainRecipe, rng: np.random.Generator) -> Grains:
    return Grains(
        rate=_log(grain.rate, rng),
        grain=_log(grain.grain, rng),
        settle=_log(grain.settle, rng),
        rise=grain.rise,
        hertz=_log(grain.hertz, rng),
        bandwidth=_log(grain.bandwidth, rng),
        level=_flat(grain.level, rng),
    )


def _draw_bubbles(recipe: Recipe, rng: np.random.Generator) -> Bubbles | None:
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
    """Bring to the wanted peak within the allowed levels; fade the last 5 ms so that a cut end does not click."""
    fade = min(len(sound), round(0.005 * sample_rate))
    if fade:
        sound[-fade:] *= np.linspace(1.0, 0.0, fade)
    level = float(np.clip(peak, QUIETEST, LOUDEST))
    return (_unit(sound) * _gain(level)).astype(np.float32)


OUTDOORS = frozenset({"dirt", "grass", "gravel", "leaf", "rock", "water"})

_FIRST_REFLECTION = 0.004
_FULL_SCALE = 0.98


@dataclass(frozen=True)
class Room:
    """One place and microphone.

    `seed`: which reflections; `rt60`: seconds until they are 60 dB down; `wet`: their level in dB against the
    direct sound; `distance`: low-pass of the way through the air in Hz; `noise`: background in dBFS (RMS);
    `rumble`: 0 (white noise) to 1 (wind and traffic).
    """

    seed: int
    rt60: float
    wet: float
    distance: float
    noise: float
    rumble: float


def draw_room(rng: np.random.Generator, outdoors: bool) -> Room:
    """Draw a place: outdoors it is drier and noisier than indoors."""
    return Room(
        seed=int(rng.integers(2**31)),
        rt60=rng.uniform(0.1, 0.25) if outdoors else rng.uniform(0.15, 0.5),
        wet=rng.uniform(-32.0, -24.0) if outdoors else rng.uniform(-24.0, -14.0),
        distance=rng.uniform(9_000.0, 18_000.0),
        noise=rng.uniform(-66.0, -52.0) if outdoors else rng.uniform(-75.0, -60.0),
        rumble=rng.uniform(0.5, 1.0) if outdoors else rng.uniform(0.0, 0.8),
    )


def record(samples: Samples, room: Room, rng: np.random.Generator, sample_rate: int) -> Samples:
    """What the microphone of `room` makes of dry `samples [n]`, float32 `[n]`.

    `rng` draws the background noise. Only what would clip is turned down.
    """
    dry = samples.astype(np.float64)
    if room.distance < 0.4 * sample_rate:
        fade = float(np.exp(-2.0 * np.pi * room.distance / sample_rate))
        dry = lfilter([1.0 - fade], [1.0, -fade], dry)
    heard = dry + oaconvolve(dry, _reflections(room, sample_rate))[: len(dry)]
    heard += 10.0 ** (room.noise / 20.0) * _background(room, rng, len(dry))
    peak = float(np.abs(heard).max(initial=0.0))
    return (heard * min(1.0, _FULL_SCALE / max(peak, _FULL_SCALE))).astype(np.float32)


def _reflections(room: Room, sample_rate: int) -> Signal:
    """Impulse response of the room without the direct sound, of energy `room.wet`."""
    samples = max(2, round(room.rt60 * sample_rate))
    time = np.arange(samples) / sample_rate
    response = np.random.default_rng(room.seed).standard_normal(samples) * 10.0 ** (-3.0 * time / room.rt60)
    response[: round(_FIRST_REFLECTION * sample_rate)] = 0.0
    response = lfilter([0.5], [1.0, -0.5], response)  # walls swallow the highest frequencies first
    scaled: Signal = response * (10.0 ** (room.wet / 20.0) / np.sqrt(np.sum(response * response)))
    return scaled


def _background(room: Room, rng: np.random.Generator, samples: int) -> Signal:
    """Noise of unit RMS, `[samples]`."""
    white = rng.standard_normal(samples)
    low = lfilter([0.1], [1.0, -0.99], white)
    noise: Signal = (1.0 - room.rumble) * white + room.rumble * 3.0 * low
    return noise / max(float(np.sqrt(np.mean(noise * noise))), 1e-12)
