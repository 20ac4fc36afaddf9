"""Which sounds a folder holds, and what people wrote about each."""
