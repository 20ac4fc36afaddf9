"""What a picture, a sound and a tower are, and how a bundle of towers is run.

Two halves: what trains imports torch (`spectrogram`, `networks`, `two_tower`), what runs needs NumPy and ONNX
Runtime alone (everything else). Serving and indexing import only the second half.
"""

from pathlib import Path

PRETRAINED = Path(__file__).parent / "pretrained"
"""The bundle that comes with Thud."""
