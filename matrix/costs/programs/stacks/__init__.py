"""How a program uses a database in each stack: a module for each, named as the stack.

| name | what it is |
|---|---|
| `prepare()` | creates and fills the table `orders` if there is none, and reports which driver is used |
| `look_up(number)` | a unit of work on the process's open connection: one order, by primary key |
| `WAYS` | other ways to do a unit of work by name, each a function of the order's number; `open` is `look_up` |
| `TITLES` | what a reader would call each of them, such as the name of a setting |
| `open_connections(count)` | installs the hook of `discarded_at_fork`, if it is not, and opens so many connections |
"""
