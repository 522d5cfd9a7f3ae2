"""Writes what was observed for people and for machines to look at: one HTML file, JUnit XML, a Markdown summary."""
