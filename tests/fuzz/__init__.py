"""Broken pictures and sounds by the thousand: a decoder answers each with a picture or sound, or with its error."""
