"""What a picture, a sound and a tower are, and how a bundle of towers is run.

Only `torch_towers` imports torch, and only training imports it. Everything else needs NumPy and ONNX Runtime alone;
this is what indexing and serving use.
"""

from pathlib import Path

PRETRAINED = Path(__file__).parent / "pretrained"
"""Folder of the bundle that comes with Thud."""
