"""Making the pretrained bundle: features, heads, calibration on held-out groups, export, INT8, model card."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model.bundle import HEADS, IMAGE_TOWER, QUERIES, SOUND_TOWER, Bundle, Calibration, write_bundle
from model.errors import TrainingError
from model.locks import exclusive
from model.materials import MATERIALS
from model.runtime import TowerRuntime
from model.torch_towers.networks import EMBEDDING_SIZE
from model.unit_vectors import save_unit_vectors
from training.measures.means import mean_over
from training.measures.scoreboard import TOLD_PICTURES, TOLD_SOUNDS, parts
from training.measures.sources import FoldScores
from training.pretraining.card import write_card
from training.pretraining.features import Pictures, read_pictures
from training.pretraining.held_out import (
    HeldOut,
    calibrate,
    fit_whole_pictures,
    fit_whole_sounds,
    fitted_pictures,
    hold_out,
)
from training.pretraining.imagenet_head import object_spec
from training.pretraining.material_files import MaterialFiles, check_groups, read_material_files
from training.pretraining.parity import Parity, measure_parity
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PretrainingData, gather
from training.pretraining.quantise import quantise_tower
from training.pretraining.score import NothingScores, score_left_out, score_nothing
from training.pretraining.stored_weights import store_in_8_bits
from training.pretraining.towers import build_towers
from training.pretraining.tuned_weights import SHIPPED, TunedWeights
from training.systems.export import export_bundle

NAME = "thud-materials"
_CALIBRATION_FILES = 256
_LEAST_MATERIALS = 2
_PARITY_PICTURES, _PARITY_SOUNDS = 400, 800


@dataclass(frozen=True)
class Built:
    """The bundle, the scores of the recipe on each held-out group, and the loss by INT8."""

    bundle: Bundle
    scores: Mapping[str, FoldScores]
    nothing: NothingScores
    parity: Parity


def build_pretrained(
    data: Path,
    target: Path,
    work: Path,
    recipe: PretrainingRecipe,
    threads: int,
    *,
    tuned: Path | None = None,
    leave_out: str | None = None,
    open_only: bool = False,
    say: Callable[[str], None],
) -> Built:
    """Write the bundle `target`, its image tower in INT8, with its model card, from the labelled files of `data`.

    Files that are not for commercial use are used for measuring only, never for fitting; with `open_only`, all
    files without an open licence. Nothing is fitted on the photographs that `choose_queries` holds back either;
    their embeddings become the bundle's queries. Features are kept in `work`: an interrupted run continues from
    them, and a run with other strengths takes minutes. Files of the source `leave_out` are not used at all. The
    picture networks are those of the folder `tuned`; without one those that ship or, where these were fitted on
    other photographs, ImageNet's. Raises TrainingError before anything is computed where `leave_out` is no source
    of `data`, fewer than two groups are left or `tuned` was fitted on other photographs; later as `gather`, and as
    `export_bundle` where the exported towers differ.
    """
    pictures, sounds = (read_material_files(data, kind) for kind in ("image", "sound"))
    if leave_out is not None:
        sources = sorted({*pictures.source.tolist(), *sounds.source.tolist()})
        if leave_out not in sources:
            raise TrainingError(f"{data} has no file of the source {leave_out!r}; there are {', '.join(sources)}")
        pictures, sounds = (files.only(files.source != leave_out) for files in (pictures, sounds))
    _check_groups(pictures, sounds, open_only)
    weights, note = _networks(data, pictures.open_only() if open_only else pictures, recipe, tuned)
    recipe = recipe.not_tuned() if weights is None else recipe.model_copy(update={"tuned": True})
    with exclusive(work):
        found = gather(data, work, recipe, threads, weights)
        if note:
            say(note)
        if leave_out is not None:
            found = found.without(leave_out)
        if open_only:
            found = found.open_only()
        if found.unreadable:
            say(f"cannot be read, left out: {len(found.unreadable):,} files, the first {found.unreadable[0]}")
        _check_groups(found.pictures, found.sounds, open_only)
        fitted = f"{found.pictures.fitted.sum():,} and {found.sounds.fitted.sum():,}"
        say(f"{len(found.pictures):,} pictures, {len(found.sounds):,} sounds; {fitted} are fitted on")
        skipped = found.pictures.skipped + found.sounds.skipped
        say(f"skipped: {skipped:,} rows without exactly one of the 17 materials")
        say(f"{found.queries.sum():,} pictures are held back, the queries")
        say(f"{len(found.nothing):,} pictures of nothing, {found.nothing.drawn.sum():,} of them drawn")
        held_out = hold_out(found, recipe)
        scores, nothing = score_left_out(found, held_out, recipe), score_nothing(found, held_out, recipe)
        described = weights and weights.described()
        made_of = {"fine_tuned": described, "left_out": leave_out, "open_only": open_only}
        floats = _export(found, held_out, scores, nothing, work / "fp32", recipe, made_of)
        say(f"fp32 bundle {floats.id}")
        rng = np.random.default_rng(recipe.seed)
        seen = np.stack(_read(found.pictures, rng, recipe))
        quantise_tower(floats.file(IMAGE_TOWER), work / IMAGE_TOWER, seen)
        store_in_8_bits(floats.file(SOUND_TOWER), work / SOUND_TOWER)
        fields: dict[str, Any] = {
            name: getattr(floats.spec, name)
            for name in (
                "name",
                "backbones",
                "embedding_size",
                "cells",
                "materials",
                "picture",
                "clip",
                "calibration",
                "label_strength",
                "picture_columns",
                "objects",
            )
        }
        files = {name: work / name for name in (IMAGE_TOWER, SOUND_TOWER)} | {HEADS: floats.file(HEADS)}
        training = floats.spec.training
        trial = write_bundle(work / "int8", files, precision="int8", training=training, **fields)
        parity = _parity(floats, trial, found, rng, threads)
        if found.queries.any():
            files[QUERIES] = work / QUERIES
            save_unit_vectors(files[QUERIES], _embedded(trial, found.pictures.only(found.queries), threads))
        metrics = {**floats.spec.metrics, "int8": parity.as_dict()}
        bundle = write_bundle(target, files, precision="int8", training=training, metrics=metrics, **fields)
        write_card(target, bundle, found, scores, nothing, parity, recipe)
    return Built(bundle, scores, nothing, parity)


def _networks(
    data: Path, pictures: MaterialFiles, recipe: PretrainingRecipe, tuned: Path | None
) -> tuple[TunedWeights | None, str]:
    """The fine-tuned networks, None for ImageNet's, and why those that ship are not taken.

    A classifier comes with them: it must be of these pictures.
    """
    if tuned is None and not recipe.tuned:
        return None, ""
    weights = TunedWeights(tuned or SHIPPED)
    try:
        weights.check(data, pictures)
    except TrainingError as error:
        if tuned is not None:
            raise TrainingError(f"{error}; run `thud fine-tune` anew, with the options of this run") from None
        return None, f"the picture network is ImageNet's: {error}; `thud fine-tune` and --tuned fit it on these"
    return weights, ""


def _check_groups(pictures: MaterialFiles, sounds: MaterialFiles, open_only: bool) -> None:
    """Raise TrainingError as `check_groups`, and where without a group all sounds are of one material.

    A discriminant of one material is none.
    """
    for files, what in ((pictures, "pictures"), (sounds, "sounds")):
        check_groups(files.open_only() if open_only else files, what)
    fitted = sounds.open_only().fitted if open_only else sounds.fitted
    for name in sorted(set(sounds.group[fitted].tolist())):
        if len(set(sounds.material[fitted & (sounds.group != name)].tolist())) < _LEAST_MATERIALS:
            raise TrainingError(
                f"without the sounds of {name}, all others that may be fitted on are of one material; add sounds "
                "of another source and material"
            )


def _read(files: MaterialFiles, rng: np.random.Generator, recipe: PretrainingRecipe) -> list[Pictures]:
    """Random pictures that are fitted on, on which the ranges of activations are measured."""
    rows = rng.permutation(np.flatnonzero(files.fitted))[:_CALIBRATION_FILES]
    pictures = read_pictures(tuple(files.paths[row] for row in rows), recipe.picture)
    return [picture for picture in pictures if picture is not None]


def _embedded(bundle: Bundle, pictures: MaterialFiles, threads: int) -> npt.NDArray[np.float32]:
    """Embeddings `[N, 128]` of `pictures` by the image tower of `bundle`."""
    runtime = TowerRuntime(bundle, threads)
    return np.concatenate([runtime.embed_picture(path.read_bytes()).embedding for path in pictures.paths])


def _export(
    data: PretrainingData,
    held_out: HeldOut,
    scores: Mapping[str, FoldScores],
    nothing: NothingScores,
    target: Path,
    recipe: PretrainingRecipe,
    made_of: Mapping[str, Any],
) -> Bundle:
    pictures = fit_whole_pictures(data, recipe, fitted_pictures(data))
    sounds = fit_whole_sounds(data, recipe, data.taught)
    heads = calibrate(data, held_out, recipe)
    of_parts = parts(scores)
    errors = {
        name: round(mean_over(list(of_parts[part].values()))["ECE"], 4)
        for name, part in (("picture", TOLD_PICTURES), ("sound", TOLD_SOUNDS))
    }
    towers, _ = export_bundle(
        build_towers(data, pictures, sounds, recipe),
        target,
        name=NAME,
        backbones={"image": recipe.image_network, "sound": recipe.sound_network},
        picture=recipe.picture,
        clip=recipe.clip,
        training={
            "recipe": recipe.model_dump(mode="json"),
            "pictures": _sources(data.pictures),
            "sounds": _sources(data.sounds),
            "taught": int(data.taught.sum()),
            "nothing": _sources(data.nothing.files),
            **made_of,
        },
        objects=object_spec(),
    )
    heads_file = target.with_name(HEADS)
    heads.save(heads_file)
    spec = towers.spec
    return write_bundle(
        target.with_name("fp32-heads"),
        {IMAGE_TOWER: towers.file(IMAGE_TOWER), SOUND_TOWER: towers.file(SOUND_TOWER), HEADS: heads_file},
        name=NAME,
        backbones=spec.backbones,
        embedding_size=EMBEDDING_SIZE,
        cells=spec.cells,
        materials=tuple(material.name for material in MATERIALS),
        picture=recipe.picture,
        clip=recipe.clip,
        calibration=Calibration(
            fitted_on="each group of sources by heads fitted without it",
            expected_error=errors,
        ),
        label_strength=recipe.label_strength,
        picture_columns=spec.picture_columns,
        objects=spec.objects,
        training=spec.training,
        metrics={
            **spec.metrics,
            "left_out": _means(of_parts),
            "nothing": nothing.as_dict(),
        },
    )


def _means(of_parts: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The mean over groups of each measure in each part of the scoreboard, where there is one."""
    means = {}
    for part, by_source in of_parts.items():
        if by_source:
            numbers = mean_over(list(by_source.values()))
            means[part] = {name: round(value, 4) for name, value in numbers.items() if not np.isnan(value)}
    return means


def _sources(files: MaterialFiles) -> dict[str, int]:
    """The number of files of each source that were fitted on."""
    names, counts = np.unique(files.source[files.fitted], return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _parity(floats: Bundle, trial: Bundle, data: PretrainingData, rng: np.random.Generator, threads: int) -> Parity:
    """The parity on random files, of all sources."""
    rows = [
        rng.permutation(len(files))[:most]
        for files, most in ((data.pictures, _PARITY_PICTURES), (data.sounds, _PARITY_SOUNDS))
    ]
    pictures, sounds = rows
    return measure_parity(
        floats,
        trial,
        [data.pictures.paths[row] for row in pictures],
        data.pictures.material[pictures],
        [data.sounds.paths[row] for row in sounds],
        data.sounds.material[sounds],
        threads,
    )
