"""Prints no figures."""

from drivers.helper import prepare

prepare()
print("nothing")
