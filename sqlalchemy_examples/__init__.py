"""The SQLAlchemy examples: one model, an engine, and an example per file."""
