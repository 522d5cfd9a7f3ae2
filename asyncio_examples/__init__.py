"""The asyncio examples: drivers that are awaited, without an ORM, and an example per file."""
