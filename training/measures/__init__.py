"""What a system is worth: measures, their intervals, results."""
