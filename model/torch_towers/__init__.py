"""The networks: the only place of what serves that imports torch, used by training."""
