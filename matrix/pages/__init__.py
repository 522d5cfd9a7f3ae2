"""Writes the pages, and answers from the same data: `python -m matrix pages`, `explain` and `advise`.

Reads claims, observations, evidence, reasons, examples and the prose in `docs/prose`, and runs nothing. What a page
says of an outcome comes from the observations; what people decide to say stands in `docs/prose` with the cells it rests
upon, and the check fails where those show something else.
"""
