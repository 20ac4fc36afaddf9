"""Synthetic sounds and pictures of the 17 materials: for tests and demos, and for media that may not be shipped.

Sounds: `sounds` strikes and scratches objects, which it draws from the ranges in `material_sounds` (explained in
`sound_ranges`), by the models in `modal` (solids), `granular` (loose matter, water) and `scratch` (strokes).
Pictures: `scenes` combines `textures`, which `ground_textures`, `soft_textures` and `solid_textures` make from the
random `fields`. Outputs: `demo_library`, and `greatest_hits_media` with `videos`. Nothing here imports torch.
"""
