"""Profiles with the fake agent until it is killed: ``profile_and_die.py TABLE ITEMS``."""

import signal
import sys
from pathlib import Path

import fakes

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs inherit to ignore it
    fakes.profile(Path(sys.argv[1]), fakes.make_items(int(sys.argv[2])))
