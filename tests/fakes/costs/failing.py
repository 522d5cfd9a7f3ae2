"""Fails by itself."""

from drivers.helper import prepare

prepare()
raise SystemExit("out of order")
