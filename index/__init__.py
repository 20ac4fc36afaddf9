"""A sound library made searchable: its catalogue, its vectors, and finding the sounds for an embedding."""
