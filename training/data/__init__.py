"""From recordings and files to a prepared dataset, its splits and its pairs."""
