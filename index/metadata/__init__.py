"""What people wrote about a sound: in tables, in files beside it, in its own tags, and in its name."""
