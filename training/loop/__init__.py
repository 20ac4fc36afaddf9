"""An epoch and a run."""
