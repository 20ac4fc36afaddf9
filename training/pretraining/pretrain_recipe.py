"""The recipe of the pretrained bundle: all values that were chosen on held-out sources."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from model.bundle import ClipSpec, PictureSpec


class PretrainingRecipe(BaseModel):
    """Networks, their inputs, and the strengths of regularisation and of added data.

    `tuned`: whether the picture network's weights are the fine-tuned ones (`TunedWeights`), or ImageNet's.
    `centre`: how much of the pooled features comes from the middle of the feature map (`pool`). `picture_decay`
    and `touchable_decay`: see `fit_classifier`. `picture_source_power`: see `source_weights`. `sound_shrinkage`
    and `sound_deviation` (of the logits): see `fit_discriminant`. `source_power`: see `source_weights`.
    `variants`: how many variants of each recording are fitted on beside it (`vary`). `sounds_not_fitted`:
    sources that are measured on alone, and whose sounds the teacher is asked about; of things that are dropped
    into a bin the bin is heard, whatever they are made of. `teacher` and `teacher_decay`: how much the logits of
    sounds have of what their teacher says, and the ridge with which that is learnt; `penalty`: see `lower_bound`.
    `knowledge`: standard deviation of a material's logits in the ImageNet prior. `class_materials`
    and `class_nothing`: what the probabilities of ImageNet's classes add to a picture's logits, see
    `ImagenetHead`. `nothing`: number of drawn pictures of nothing. `queries`: number of photographs that are held
    back, see `choose_queries`. `bias_decay`: see `calibrate_heads`. `label_strength`: how far an index moves
    the vector of a labelled sound towards its material.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_network: str = "efficientnet_lite0"
    tuned: bool = True
    sound_network: Literal["aisfx"] = "aisfx"
    picture: PictureSpec = PictureSpec(size=192, resize="crop")
    centre: float = Field(0.5, ge=0, le=1)
    clip: ClipSpec = ClipSpec(sample_rate=32_000, before=0.1, after=0.6)
    picture_decay: float = Field(0.01, gt=0)
    picture_source_power: float = Field(0.0, ge=0, le=1)
    touchable_decay: float = Field(0.3, gt=0)
    sound_shrinkage: float = Field(0.4, gt=0, le=1)
    sound_deviation: float = Field(0.8, gt=0)
    source_power: float = Field(0.35, ge=0, le=1)
    variants: int = Field(9, ge=0)
    sounds_not_fitted: tuple[str, ...] = ("wastebasket", "wastedrop")
    teacher: float = Field(0.4, ge=0)
    teacher_decay: float = Field(1.0, gt=0)
    penalty: float = Field(1.0, ge=0)
    knowledge: float = Field(1.5, ge=0)
    class_materials: float = Field(0.25, ge=0)
    class_nothing: float = Field(0.5, ge=0)
    nothing: int = Field(200, ge=0)
    queries: int = Field(256, ge=0)
    bias_decay: float = Field(10.0, ge=0)
    label_strength: float = Field(0.8, ge=0, le=1)
    seed: int = 0

    def not_tuned(self) -> Self:
        """The same with ImageNet's weights, for which another strength was chosen: the logits are larger."""
        return self.model_copy(update={"tuned": False, "class_materials": 0.15})
