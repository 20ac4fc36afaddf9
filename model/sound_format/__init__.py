"""What the bytes of a sound file say, so that the decoder gets true lengths."""
