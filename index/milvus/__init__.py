"""An index in a Milvus: its collections, how they are published and read."""
