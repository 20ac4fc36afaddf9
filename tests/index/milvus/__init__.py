"""An index in a Milvus."""
