"""Loads an application that cannot be imported."""

import importlib

importlib.import_module("shop_that_is_not_there")
