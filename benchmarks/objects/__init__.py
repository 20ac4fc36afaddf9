"""Whether sounds that name what a picture shows are recommended for it."""
