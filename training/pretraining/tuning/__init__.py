"""Fine-tuning of the picture network: `thud fine-tune`."""
