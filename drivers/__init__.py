"""The drivers without an ORM: a folder per driver, and the DB-API examples that run with each."""
