"""How good recommendations are on labelled files."""

from training.pretraining.kernels import fix_kernels

fix_kernels()  # as `thud pretrain` does, whose features are read, before NumPy is loaded
