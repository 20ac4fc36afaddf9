"""Making the pretrained bundle: from labelled files and an ImageNet prior to INT8 towers and a model card."""
