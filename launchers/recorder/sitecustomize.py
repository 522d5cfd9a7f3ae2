"""Records in a cell what an application's `look_up` is asked for and returns; what is printed knows nothing of it.

Python imports this module at its start, because this folder is in PYTHONPATH. Once an application's `shop.orders` has
been imported, its `look_up` is replaced by one that calls it and reports the call. The files themselves are as printed.
"""

import importlib
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

ROOT = str(Path(__file__).parents[2])


class Finder:
    """Finds the module that orders are looked up in."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "shop.orders" or not (spec := PathFinder.find_spec(name, path, target)):
            return None
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            sys.path.append(ROOT)
            try:
                module.look_up = importlib.import_module("launchers.recorder.recording").recorded(module.look_up)
            finally:
                sys.path.remove(ROOT)

        spec.loader.exec_module = exec_module
        return spec


if "STEP_RECORDS" in os.environ:
    sys.meta_path.insert(0, Finder)
