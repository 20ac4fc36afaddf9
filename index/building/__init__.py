"""From the files of a library to a published index."""
