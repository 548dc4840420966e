"""How robust a SavedModel is: attacks, a store of per-sample distances, honest tables. Knows no model class."""
