"""Tests of the built site, which `nox -s site` runs after it has built it."""
