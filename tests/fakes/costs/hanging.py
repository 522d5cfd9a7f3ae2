"""Hangs."""

import time

from drivers.helper import prepare

prepare()
time.sleep(60)
