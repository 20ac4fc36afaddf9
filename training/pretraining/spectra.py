"""Three log-mel spectrograms of a clip: as it is, and without the colour of acoustics and microphone."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, pad

from model.torch_towers.spectrogram import LogMel

_LEAST = 1e-6
_BROAD = 33  # bands of 128: about two octaves where mel is logarithmic


class ClearedLogMel(LogMel):
    """Clips `[B, samples]` to three different planes `[B, 3, size, size]`, each scaled as in `LogMel`.

    The first is the spectrogram as it is. In the second each band is divided by the clip's mean spectrum over time,
    smoothed over 33 bands: this removes the broad colour of microphone and distance. In the third it is divided by
    the mean spectrum itself (cepstral mean normalisation; Atal 1974): this leaves the decay of the bands.
    """

    def forward(self, clips: Tensor) -> Tensor:
        """Planes `[B, 3, size, size]` in [-1, 1] of float32 clips `[B, samples]`."""
        mel = self.mel(clips)
        spectrum = mel.mean(dim=2)  # [B, bands]
        colour = (spectrum / spectrum.amax(dim=1, keepdim=True).clamp_min(1e-10)).clamp_min(_LEAST)
        ends = pad(colour.log()[:, None], (_BROAD // 2, _BROAD // 2), mode="replicate")
        broad = avg_pool1d(ends, _BROAD, stride=1)[:, 0].exp()
        planes = [self.plane(mel), self.plane(mel / broad[..., None]), self.plane(mel / colour[..., None])]
        return torch.cat(planes, dim=1)
