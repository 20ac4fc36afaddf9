"""An index in a Milvus beside one in files, and embedding on a cluster beside this machine's threads."""
