"""What the weight of the saturation penalty costs in accuracy and does to the units; importing it loads no framework."""

from cortexzoo.training.studies.sweep.table import Point, largest_within, read_points, table_path

__all__ = ["Point", "largest_within", "read_points", "table_path"]
