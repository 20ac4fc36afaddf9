"""Sounds of touching an object of one of the 17 materials: drawing it, striking it and scratching it.

`draw_object` draws an object from its material's ranges, `strike` and `scratch` make dry sounds of it, and
`recording.record` adds the acoustics of a place and the noise of a microphone.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter, oaconvolve

from training.synthesis.dense import OCTAVES, Dense, burst, rub
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
    twins,
    vary_hit,
)
from training.synthesis.scratch import Surface, friction, slow_noise, stroke_speed
from training.synthesis.sound_ranges import GrainRanges, Range, SoundRanges

Samples = npt.NDArray[np.float32]

_THIRD_SPREAD = 2.5  # the same for a third of an octave
_COLOUR_SPREAD = 3.5  # dB by which an octave of one object differs from another's
LOUDEST, QUIETEST = -3.0, -30.0
"""The highest and lowest peak of a sound, in dBFS."""


@dataclass(frozen=True)
class SoundObject:
    """One object of one material: everything that its sounds have in common.

    `body`: the modes that ring when it is struck; `stick`: those of the drumstick; `build_up`: seconds until the
    whole body sounds; `contact`: seconds of the contact at a middling blow; `brightness`: low-pass of the sound in
    Hz; `click`, `body_level`: levels of the contact noise and of body with stick, in dB against the dense part;
    `bounces`: how often, on average, it is touched again after a blow; `gap`: mean seconds until then; `peak`:
    level of a middling blow in dBFS.
    """

    material: str
    body: Modes
    stick: Modes
    build_up: float
    click: float
    body_level: float
    dense: Dense
    bounces: float
    gap: float
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
        dense=_draw_dense(recipe, rng),
        bounces=_flat(recipe.bounces, rng),
        gap=_log(recipe.gap, rng),
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
    sound = np.zeros(samples)
    for seconds_after, decibels in _contacts(thing, rng):
        start = round(seconds_after * sample_rate)
        if start < samples:
            sound[start:] += _gain(decibels) * _blow(
                thing, force + decibels / 6.0, rng, sample_rate, samples - start
            )
    for grains in thing.grains:
        energy = hit_energy(grains, sample_rate, samples)
        sound += _gain(grains.level + rng.standard_normal()) * _unit_energy(
            crackle(grains, energy, rng, sample_rate)
        )
    if thing.bubbles is not None:
        onsets = rng.exponential(thing.bubbles.spread, max(1, rng.poisson(thing.bubbles.count)))
        onsets = onsets[onsets < seconds]
        cloud = bubble_cloud(thing.bubbles, onsets, rng, sample_rate, samples, thing.bubbles.spread)
        sound += _gain(thing.bubbles.level) * _unit_energy(cloud)
    return _finish(sound, thing.peak + 3.0 * force, sample_rate)


def _contacts(thing: SoundObject, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Time in seconds and level in dB of each contact of a blow: the first, and those when the stick bounces."""
    contacts = [(0.0, 0.0)]
    time, level = 0.0, 0.0
    for _ in range(int(rng.poisson(thing.bounces))):
        time += thing.gap * float(np.exp(0.4 * rng.standard_normal()))
        level -= float(rng.gamma(2.0, 2.5))
        contacts.append((time, level))
    return contacts


def _blow(thing: SoundObject, force: float, rng: np.random.Generator, sample_rate: int, samples: int) -> Signal:
    """A single contact at time 0, float64 `[samples]`."""
    # A harder blow is shorter and brighter as well as louder.
    modes = vary_hit(thing.body, rng) + vary_hit(thing.stick, rng)
    touch = thing.contact * 2.0 ** (-0.25 * force)
    # It takes time until the whole body sounds; the contact itself is heard at once.
    spread = 1.0 - np.exp(-(np.arange(samples) + 1.0) / (thing.build_up * sample_rate))
    body = _unit(impact(modes, touch, sample_rate, samples) * spread)
    body += _gain(thing.click + rng.standard_normal()) * _unit(click(touch, rng, sample_rate, samples))
    body = _low_pass(body, thing.brightness * 2.0 ** (0.2 * force), sample_rate)
    return _unit_energy(burst(thing.dense, 0.4 * force, rng, sample_rate, samples)) + _gain(
        thing.body_level + rng.standard_normal()
    ) * _unit_energy(body)


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
    through = _low_pass(oaconvolve(rubbing, response)[:samples], thing.brightness, sample_rate)
    rough = np.clip(speed, 0.0, 1.0) * np.exp(surface.chatter * slow_noise(rng, sample_rate, samples, 60.0))
    # Part of the friction is heard directly, part through the vibrating body.
    direct = _unit_rms(rub(thing.dense, rough, rng, sample_rate)) + _gain(thing.body_level - 6.0) * _unit_rms(
        through
    )
    sound = _gain(surface.level) * (direct + _gain(-9.0) * _unit_rms(rubbing))
    for grains in thing.grains:
        moved = crackle(grains, np.clip(speed, 0.0, 1.0) ** 1.5, rng, sample_rate)
        sound += _gain(grains.level) * _unit_rms(moved)
    if thing.bubbles is not None:
        onsets = np.sort(rng.uniform(0.0, seconds, max(1, rng.poisson(2.0 * thing.bubbles.count * seconds))))
        stirred = onsets[rng.random(len(onsets)) < speed[np.minimum(onsets * sample_rate, samples - 1).astype(int)]]
        cloud = bubble_cloud(thing.bubbles, stirred, rng, sample_rate, samples)
        sound += _gain(thing.bubbles.level) * _unit_rms(cloud)
    # The rule of Clatter: loudness grows with the roughness to the power 0.7; at 5 microns it is 6 dB below a blow.
    peak = thing.peak - 6.0 + 14.0 * np.log10(surface.roughness / 5e-6) + 2.0 * rng.standard_normal()
    return _finish(sound, float(peak), sample_rate)


def _draw_modes(recipe: SoundRanges, rng: np.random.Generator) -> Modes:
    modes = Modes((), (), ())
    if recipe.bodies:
        name = recipe.bodies[int(rng.integers(len(recipe.bodies)))]
        modes += draw_body(measured_modes(name), rng, _log(recipe.pitch, rng), _log(recipe.ring, rng))
        if rng.random() < recipe.beating:
            modes += twins(modes, rng)
    hertz, rt60, level = _log(recipe.low_hertz, rng), _log(recipe.low_rt60, rng), _flat(recipe.low_level, rng)
    if not recipe.bodies or rng.random() < recipe.low_chance:
        modes += draw_low_body(hertz, rt60, level, rng)
    return modes


def _draw_dense(recipe: SoundRanges, rng: np.random.Generator) -> Dense:
    octave = np.arange(len(OCTAVES)) - 4.0
    colour = np.array(recipe.colour) + 0.25 * octave * recipe.tilt * rng.standard_normal()
    colour += _COLOUR_SPREAD * rng.standard_normal(len(OCTAVES))
    longer = 0.4 * rng.standard_normal() + 0.3 * rng.standard_normal(len(OCTAVES))
    fade = np.array(recipe.fade) * np.exp(longer)
    rise = _log(recipe.attack, rng) * np.exp(0.4 * rng.standard_normal(len(OCTAVES)))
    return Dense(
        colour=tuple(map(float, colour)),
        fade=tuple(map(float, np.maximum(fade, 1.0 / np.array(OCTAVES)))),
        rise=tuple(map(float, rise)),
        shape=_flat(recipe.shape, rng),
        wander=_flat(recipe.wander, rng),
        resonances=tuple(map(float, _THIRD_SPREAD * rng.standard_normal(3 * len(OCTAVES)))),
        tail=_flat(recipe.tail, rng),
        grit=_log(recipe.grit, rng) if recipe.grit else 0.0,
        grain=_log(recipe.grain, rng),
        uneven=_flat(recipe.uneven, rng),
    )


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
        level=_flat((-12.0, -3.0), rng),
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


def _unit_energy(signal: Signal) -> Signal:
    energy = float(np.sqrt(np.sum(signal * signal)))
    return signal / energy if energy > 0.0 else signal


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
