"""The file formats of sounds: the decoder gets whole streams with their true lengths, and prints nothing.

`streams` is what `model.sound` calls; `wav`, `flac_and_ogg` and `mpeg` are one format each.
"""
