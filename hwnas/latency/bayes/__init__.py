"""Costs as Gaussians: conditioned on whole networks, shared between devices."""
