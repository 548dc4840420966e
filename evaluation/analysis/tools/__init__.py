"""What the analyses share: how they read a model, and how they write figures and tables."""
