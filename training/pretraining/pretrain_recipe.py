"""How the pretrained bundle is fitted: the values that were chosen on sources left out, as one small value."""

from pydantic import BaseModel, ConfigDict, Field

from model.bundle import ClipSpec, PictureSpec


class PretrainingRecipe(BaseModel):
    """Networks, inputs and the strengths of what is added to the data.

    `picture_decay`: see `fit_classifier`. `sound_shrinkage` and `sound_deviation` (of the logits): see
    `fit_discriminant`, `source_power`: see `source_weights`. `knowledge`: deviation of the logits that ImageNet's
    classes give a material before a labelled picture is seen. `nothing`: drawn pictures of nothing that can be
    touched. `synthetic`: synthetic sounds that stand for each material with fewer recordings than `few_recordings`;
    added to the recordings of the others, they made these be told worse. `bias_decay`: see `fit_heads`.
    `label_strength`: how far an index draws the vector of a labelled sound towards its material.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_network: str = "efficientnet_lite0"
    sound_network: str = "efficientnet_lite0"
    picture: PictureSpec = PictureSpec(size=192, resize="crop")
    clip: ClipSpec = ClipSpec(sample_rate=32_000, before=0.1, after=0.6)
    spectrogram_size: int = Field(128, ge=32, le=512)
    picture_decay: float = Field(0.01, gt=0)
    sound_shrinkage: float = Field(0.6, gt=0, le=1)
    sound_deviation: float = Field(0.8, gt=0)
    source_power: float = Field(0.5, ge=0, le=1)
    knowledge: float = Field(3.0, ge=0)
    nothing: int = Field(200, ge=0)
    synthetic: int = Field(24, ge=0)
    few_recordings: int = Field(10, ge=0)
    bias_decay: float = Field(10.0, ge=0)
    label_strength: float = Field(0.8, ge=0, le=1)
    seed: int = 0
