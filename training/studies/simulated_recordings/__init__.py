"""Recordings of a simulated V1, in the place of recordings of neurons."""
