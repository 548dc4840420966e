"""Recordings of neurons, or of a simulation of them: files, reliability, and a network that predicts responses."""
