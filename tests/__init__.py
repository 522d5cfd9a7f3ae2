"""Tests of the harness, with named fakes, and of the data, with validators."""
