"""The diagnosis of gradient masking: every sign of it, measured on the model itself, and one verdict in words."""

from cortexzoo.evaluation.diagnosis.diagnosis import Diagnosis, diagnose, from_store

__all__ = ["Diagnosis", "diagnose", "from_store"]
