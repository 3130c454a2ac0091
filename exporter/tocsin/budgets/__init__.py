"""The error budgets of all SLOs, read from what Prometheus recorded of them, or directly where nothing is recorded."""

from tocsin.budgets.reader import Budgets, SloSpec

__all__ = ["Budgets", "SloSpec"]
