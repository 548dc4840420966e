"""Series of trainings, and measurements beside them. One folder a study, whose `__main__.py` has its flags and its help."""
