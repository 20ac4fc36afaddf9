"""The file formats of sounds: the decoder gets whole streams with their true lengths, and prints nothing.

`streams` is what `model.sound` calls, `formats` lists all of them; the other files are about one or a few each.
"""
