"""How near the sounds of a synthetic library are to recordings of the same materials."""
