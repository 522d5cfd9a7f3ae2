"""Is killed."""

import os

from drivers.helper import prepare

prepare()
os.kill(os.getpid(), 9)
