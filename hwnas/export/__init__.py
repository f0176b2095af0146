"""Lowering of blocks and networks to the formats that devices run."""
