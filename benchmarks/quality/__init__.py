"""How good recommendations are on labelled files."""
