"""What the weight of the saturation penalty costs in accuracy, and what it does to the units."""
