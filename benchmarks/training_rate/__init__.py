"""How many samples a second training takes in."""
