"""Functions of several slots that are sums of terms over one slot or two, and what is asked of them.

A *slot* is a place with a few states: the candidates of a choice, the widths of a group of channels. What a
layer costs is a term over one or two slots; what slots meet in a term makes a graph, usually a chain or a
tree. A *sweep* decides slot after slot and looks back at few of them only, which makes least values, sums
over all states and draws exact. Where no such order is narrow enough, an integer *program* finds the least.
"""

from hwnas.factors.least import ends, least
from hwnas.factors.sweep import Sweep
from hwnas.factors.terms import Pair, Terms, added, require_fit

__all__ = ["Pair", "Sweep", "Terms", "added", "ends", "least", "require_fit"]
