"""Demonstration data of any size for the reference ERP and the CRM, and real purchases from a file."""

from __future__ import annotations

from rotina.demo.loading import DemoCounts, load
from rotina.demo.purchases import PurchaseCounts, PurchaseFileError, import_purchases

__all__ = ["DemoCounts", "PurchaseCounts", "PurchaseFileError", "import_purchases", "load"]
