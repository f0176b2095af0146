"""A shelf: several devices of which some are alike, shared by several people; who measures has a lease."""

from hwnas.shelf.file import Shelf, Unit, read
from hwnas.shelf.leasing import Lease, leased, opened

__all__ = ["Lease", "Shelf", "Unit", "leased", "opened", "read"]
