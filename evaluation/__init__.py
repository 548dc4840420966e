"""Evaluates the robustness of SavedModels: attacks, shifts, a store of per-sample results, and reports.

It depends on no model class.
"""
