"""The report of many runs: the paper's tables and figures beside ours, and what the paper should have shown."""
