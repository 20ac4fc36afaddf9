"""How near the sounds of a synthetic library are to recordings of the same materials."""

from training.pretraining.kernels import fix_kernels

fix_kernels()  # as `thud pretrain` does, whose features are read, before NumPy is loaded
