"""Features of labelled recordings and of their variants, and what the classifier's teacher says of each."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from model.bundle import ClipSpec
from model.high_pass import HIGH_PASS_HERTZ
from model.torch_towers.aisfx import FEATURES, AisfxSpectrogram
from training.pretraining.aisfx_weights import aisfx_network
from training.pretraining.features import cached, contents, features_of, read_clips
from training.pretraining.material_files import MaterialFiles
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.teacher.audioset_materials import HeardMaterials, table_digest, teacher_clip
from training.pretraining.teacher.yamnet import YAMNET
from training.pretraining.varied_sounds import read_varied_clips


@dataclass(frozen=True, eq=False)
class Heard:
    """M recordings, each followed by its V variants: `features [M, 1 + V, G]` and `teacher [M, 1 + V, 17]`.

    `teacher`: what is said of the materials, see `HeardMaterials`. NaN for a recording that cannot be read.
    """

    features: Tensor
    teacher: Tensor

    @property
    def readable(self) -> Tensor:
        """Which recordings could be read, with all their variants, `[M]`."""
        return ~torch.isnan(self.features).flatten(1).any(dim=1)


class SoundNetworks(nn.Module):
    """The bundle's network for sounds and the teacher of its classifier: clips `[B, samples]` to `[B, G + 17]`.

    Clips are those of `teacher_clip(clip)`; the bundle's network hears their beginning, which is `clip`. Raises
    TrainingError where the weights of a network are not installed.
    """

    def __init__(self, clip: ClipSpec) -> None:
        super().__init__()
        self.samples = clip.samples
        self.network = nn.Sequential(AisfxSpectrogram(clip.sample_rate), aisfx_network())
        self.teacher = HeardMaterials(clip.sample_rate)

    def forward(self, clips: Tensor) -> Tensor:
        """Features and what the teacher says, `[B, G + 17]`."""
        return torch.cat([self.network(clips[:, : self.samples]), self.teacher(clips)], dim=1)


def sound_features(
    files: MaterialFiles,
    networks: SoundNetworks,
    recipe: PretrainingRecipe,
    folder: Path,
    what: str,
    at_once: int = 1,
) -> Heard:
    """The features of `files`, cached in `folder` under the name `what`; `at_once`: see `features_of`."""
    variants, clip = recipe.variants, teacher_clip(recipe.clip)
    identity: dict[str, object] = {
        "files": contents(files.paths),
        "networks": [recipe.sound_network, YAMNET, table_digest()],
        "clips": [recipe.clip.model_dump(), clip.model_dump()],
        "high_pass": HIGH_PASS_HERTZ,
    }
    plain = cached(
        folder / f"{what}-{recipe.sound_network}.npz",
        identity,
        len(files),
        lambda: features_of(networks, read_clips(files.paths, clip), len(files), what, at_once),
    )[:, None]
    if variants:
        seed = f"-seed-{recipe.seed}" if recipe.seed else ""
        varied = cached(
            folder / f"{what}-{recipe.sound_network}-varied-{variants}{seed}.npz",
            {**identity, "variants": variants, "seed": recipe.seed},
            variants * len(files),
            lambda: features_of(
                networks,
                read_varied_clips(files.paths, clip, variants, recipe.seed),
                variants * len(files),
                f"varied {what}",
                at_once,
            ),
        )
        plain = torch.cat([plain, varied.reshape(len(files), variants, -1)], dim=1)
    return Heard(plain[..., :FEATURES], plain[..., FEATURES:])
