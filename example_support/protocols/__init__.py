"""SQL that differs between protocols: a module per protocol, named as `protocol` in the drivers' `driver.toml` has it.

| name | what it is |
|---|---|
| `SESSION_ID` | an expression for the id of the server session that a statement runs on |
| `PAUSE` | an expression that takes 5 milliseconds |
| `HELD` | an expression that waits until no session holds replies back |
| `HOLD`, `RELEASE` | statements that begin and end holding replies back |
| `WAITING` | a query for the ids of the database's other sessions, with commas: those that wait for `HELD`, and all |
| `VERSION` | a query for the server's version |
| `transport(query)` | how the session reaches the server; `query` runs a query and returns its only row |
"""
