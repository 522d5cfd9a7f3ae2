"""A PyMySQL connection has no public fileno(), so a child cannot detach an inherited one from the server."""

import os

import pymysql

connection = pymysql.connect(
    host=os.environ.get("MYSQL_HOST", "127.0.0.1"),
    port=int(os.environ.get("MYSQL_PORT", "3306")),
    user=os.environ.get("MYSQL_USER", "root"),
    password=os.environ.get("MYSQL_PASSWORD", ""),
)
child = os.fork()
if child == 0:
    try:
        os.dup2(os.open(os.devnull, os.O_RDWR), connection.fileno())
    except AttributeError:
        os._exit(1)
    os._exit(0)
if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
    raise SystemExit("the socket is in the private attribute _sock, and there is no fileno()")
print("the child detached the inherited connection")
