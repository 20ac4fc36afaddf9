"""Training a system: epochs of steps, checkpoints, resuming, curves, and several processes."""
