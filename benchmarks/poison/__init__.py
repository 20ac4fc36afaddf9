"""Whether good requests are answered correctly while other clients send broken ones."""
