"""Fitting the two towers: datasets, pairs, training, evaluating, exporting. The only room that needs torch."""
