"""Both towers of the pretrained bundle, from networks and the heads fitted on their features."""

import torch
from torch import nn

from model.torch_towers.two_tower import ImageTower, SoundTower, TwoTower
from training.pretraining.fit_heads import PictureClassifier, SoundClassifier
from training.pretraining.imagenet_head import ImagenetHead
from training.pretraining.pooling import CentredNetwork
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PretrainingData
from training.pretraining.space import SoundProjection, picture_projection


def sound_projection(data: PretrainingData, classifier: SoundClassifier) -> SoundProjection:
    """The last layers of the sound tower, with further dimensions from the sounds that are fitted on."""
    return SoundProjection(classifier, data.sound_features[torch.from_numpy(data.sounds.fitted)])


def build_towers(
    data: PretrainingData, pictures: PictureClassifier, sounds: SoundClassifier, recipe: PretrainingRecipe
) -> TwoTower:
    """The towers, in evaluation mode."""
    see, projection = data.picture_network, picture_projection(pictures)
    head = ImagenetHead(data.imagenet_rows, data.imagenet_bias, recipe)
    image = CentredNetwork(see.features, projection, see.centre, head)
    sound = nn.Sequential(data.sound_network, sound_projection(data, sounds))
    return TwoTower(ImageTower(image), SoundTower(sound, data.spectrogram)).eval()
