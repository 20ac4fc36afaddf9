"""From a picture, a sound or words to sounds."""
