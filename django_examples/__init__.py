"""A small, ordinary Django project: one app, one model, and an example per file."""
