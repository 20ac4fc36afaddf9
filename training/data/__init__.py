"""From recordings or files to a prepared dataset and its pairs."""
