"""How fast Thud answers, beside a plain loop, beside the usual way and beside an earlier commit."""
