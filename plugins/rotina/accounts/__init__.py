"""Routines over the accounts."""
