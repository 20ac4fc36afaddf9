"""Whether sounds that name what a picture shows are recommended for it."""

from training.pretraining.kernels import fix_kernels

fix_kernels()  # as `thud pretrain` does, whose features are read, before NumPy is loaded
