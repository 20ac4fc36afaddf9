"""What is trained: recipes, networks, losses, augmentation, and their export."""
