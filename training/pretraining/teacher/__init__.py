"""What a network that hears the classes of AudioSet says of the materials; it teaches the classifier of sounds."""
