"""Profiles with the fake agent until it is killed: ``profile_and_die.py TABLE ITEMS``."""

import sys
from pathlib import Path

import fakes

if __name__ == "__main__":
    fakes.profile(Path(sys.argv[1]), fakes.make_items(int(sys.argv[2])))
