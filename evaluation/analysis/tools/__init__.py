"""Tools shared by the analyses: reading models, and writing figures and tables."""
