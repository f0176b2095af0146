"""Costs as Gaussian beliefs: conditioned on whole networks, shared between devices."""
