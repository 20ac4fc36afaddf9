"""Places of pictures that are touched: how often what is there is told, and what a map costs."""
