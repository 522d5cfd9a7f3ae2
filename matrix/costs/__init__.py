"""Measures what remedies cost: `nox -s costs`. Every figure is a ratio of two things that one program measured."""
