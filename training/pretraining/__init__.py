"""Making the pretrained bundle: from labelled files and ImageNet's knowledge to INT8 towers and a model card."""
