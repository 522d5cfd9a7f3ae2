"""Records the corpus: real conversations of real drivers with real servers, through the relay.

    python -m tests.corpus.record [NAME]...  record all conversations again, or those named (needs the drivers)
    python -m tests.corpus.record --expect   only decode those that are there, and write what was read

Each is a `.hex` file (see `matrix.wire.fuzz.read_conversation`) and a `.json` file with the events that are
expected of it, which a person reviews. The passwords were those of servers that lived for one recording.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import struct
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
import pymysql
from pymysql.constants import CLIENT, COMMAND
from pymysql.err import OperationalError, ProgrammingError

from matrix.records.wire import Event
from matrix.servers import Server, observer, running
from matrix.wire import describe, recorder
from matrix.wire.control import Address, Close, Open, decode_answer, encode
from matrix.wire.forward import Forwarder
from matrix.wire.fuzz import CORPUS, Conversation, decode, read_conversation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matrix.records.wire import Sender
    from matrix.wire.decoder import Decoder

#: Which server a conversation is with, by how its name begins.
SERVERS = {"mysql-9": "mysql", "mysql": "mariadb", "postgresql": "postgresql"}
TABLE = "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer VARCHAR(40))"
ROWS = "INSERT INTO orders VALUES " + ", ".join(f"({number}, 'customer {number}')" for number in range(101, 111))
LOOK_UP = "SELECT id, customer FROM orders WHERE id = %s"


@contextlib.contextmanager
def _taped(server: Server) -> Iterator[tuple[int, list[Conversation]]]:
    """Relay to the server; yield the port and a conversation for each connection."""
    conversations: list[Conversation] = []
    real = recorder.DECODERS[server.protocol]

    class Tape(real):  # type: ignore[misc, valid-type]  # the class is chosen at run time
        def __init__(self) -> None:
            super().__init__()
            self.conversation: Conversation = []
            conversations.append(self.conversation)

        def feed(self, sender: Sender, data: bytes, at: float) -> list[Event]:
            self.conversation.append((sender, data))
            return super().feed(sender, data, at)  # type: ignore[no-any-return]  # follows from the above

    recorder.DECODERS[server.protocol] = Tape
    requests, control = os.pipe()
    replies, answers = os.pipe()
    thread = threading.Thread(target=Forwarder(requests, answers).run)
    thread.start()
    try:
        upstream = Address(server.host, server.port)
        os.write(control, encode(Open(1, server.protocol, upstream)) + b"\n")
        with os.fdopen(replies, "rb") as lines:
            port = decode_answer(lines.readline()).port
            assert port is not None
            yield port, conversations
            os.write(control, encode(Close(2, listener=1, settle=2, drop=False)) + b"\n")
            lines.readline()
    finally:
        os.close(control)
        thread.join()
        os.close(requests)
        os.close(answers)
        recorder.DECODERS[server.protocol] = real


def _pymysql(server: Server, port: int, **options: Any) -> Any:
    account: dict[str, Any] = {"user": server.user, "password": server.password}
    account |= {"database": "corpus", "ssl_disabled": True}
    return pymysql.connect(host="127.0.0.1", port=port, **(account | options))


def mysql_pymysql(server: Server, port: int) -> None:
    """Look-ups, NULL, no rows, a change, an error, a transaction, a ping."""
    connection = _pymysql(server, port)
    cursor = connection.cursor()
    cursor.execute(TABLE)
    cursor.execute(ROWS)
    connection.commit()
    cursor.execute(LOOK_UP, (104,))
    cursor.execute(LOOK_UP, (999,))
    cursor.execute("SELECT NULL, 'Müller'")
    cursor.execute("SELECT customer, id FROM orders")
    with contextlib.suppress(ProgrammingError):
        cursor.execute("SELECT * FROM nowhere")
    cursor.execute("UPDATE orders SET customer = 'nobody' WHERE id > 105")
    connection.rollback()
    connection.ping()
    connection.select_db("corpus")
    cursor.execute("CREATE USER somebody IDENTIFIED BY 'not to be recorded'")
    cursor.execute("DROP USER somebody")
    connection.close()


def mysql_pymysql_special(server: Server, port: int) -> None:
    """Several results of one statement, a file loaded from the client, prepared statements in binary."""
    flags = CLIENT.MULTI_STATEMENTS
    connection = _pymysql(server, port, local_infile=True, autocommit=True, client_flag=flags)
    cursor = connection.cursor()
    cursor.execute("SELECT 1; SELECT 2 AS second; DO 0")
    while cursor.nextset():
        pass
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("orders.csv").write_text("201\tloaded\n202\tloaded\n")
        cursor.execute("LOAD DATA LOCAL INFILE 'orders.csv' INTO TABLE orders")

    def packets_until(ends: int) -> None:
        while ends:
            ends -= connection._read_packet().is_eof_packet()

    connection._execute_command(COMMAND.COM_STMT_PREPARE, "SELECT id, customer FROM orders WHERE id > ?")
    statement = struct.unpack("<xI", connection._read_packet()._data[:5])[0]
    packets_until(2)
    execute = struct.pack("<IBIBBBBi", statement, 0, 1, 0, 1, 3, 0, 107)
    connection._execute_command(COMMAND.COM_STMT_EXECUTE, execute)
    packets_until(2)
    # With a cursor, the rows come on request.
    execute = struct.pack("<IBIBBBBi", statement, 1, 1, 0, 1, 3, 0, 107)
    connection._execute_command(COMMAND.COM_STMT_EXECUTE, execute)
    packets_until(1)
    connection._execute_command(COMMAND.COM_STMT_FETCH, struct.pack("<II", statement, 2))
    packets_until(1)
    connection._execute_command(COMMAND.COM_STMT_CLOSE, struct.pack("<I", statement))
    connection.close()


def mysql_pymysql_shared(server: Server, port: int) -> None:
    """Two look-ups are sent before either is answered, as two processes on one socket do."""
    connection = _pymysql(server, port, autocommit=True)
    for number in (101, 102):
        connection._execute_command(3, LOOK_UP % number)
        connection._result = None
    for _ in range(2):
        ends = 0
        while ends < 2:
            connection._next_seq_id = connection._rfile.peek(4)[3]
            ends += connection._read_packet().is_eof_packet()
    connection.close()


def mysql_pymysql_denied(server: Server, port: int) -> None:
    """Refuse a wrong password."""
    with contextlib.suppress(OperationalError):
        _pymysql(server, port, password="wrong")


def mysql_pymysql_killed(server: Server, port: int) -> None:
    """Another session kills this one."""
    connection = _pymysql(server, port, autocommit=True)
    connection.query("SELECT 1")
    other = _pymysql(server, server.port)
    other.query(f"KILL {connection.thread_id()}")
    other.close()
    with contextlib.suppress(OperationalError):
        connection.query("SELECT 2")


def mysql_pymysql_tls(server: Server, port: int) -> None:
    """Hide in TLS."""
    connection = _pymysql(server, port, ssl_disabled=False, ssl={"ca": server.ca})
    connection.query("SELECT 1")
    connection.close()


def _mysqlclient(server: Server, port: int, **options: Any) -> Any:
    # Only needed to record, and not in every environment.
    driver = importlib.import_module("MySQLdb")
    account = {"user": server.user, "passwd": server.password, "db": "corpus"}
    return driver.connect(host="127.0.0.1", port=port, **account, **options)


def mysql_mysqlclient(server: Server, port: int) -> None:
    """Use Connector/C, whose capabilities differ from PyMySQL's."""
    connection = _mysqlclient(server, port, ssl_mode="DISABLED")
    cursor = connection.cursor()
    cursor.execute(LOOK_UP, (104,))
    cursor.execute(LOOK_UP, (999,))
    cursor.execute("SELECT NULL, 1")
    connection.commit()
    connection.ping()
    connection.close()


def mysql_mysqlclient_compressed(server: Server, port: int) -> None:
    """Use the compressed protocol, which is not decoded."""
    connection = _mysqlclient(server, port, ssl_mode="DISABLED", compress=True)
    connection.query("SELECT 1")
    connection.store_result()
    connection.close()


def _mysqlconnector(server: Server, port: int, *, use_pure: bool) -> Any:
    # Only needed to record, and not in every environment.
    driver = importlib.import_module("mysql.connector")
    account = {"user": server.user, "password": server.password, "collation": "utf8mb4_general_ci"}
    return driver.connect(host="127.0.0.1", port=port, ssl_disabled=True, use_pure=use_pure, **account)


def _use_mysqlconnector(connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("CREATE DATABASE IF NOT EXISTS corpus")
    connection.database = "corpus"
    cursor.execute(TABLE.replace("TABLE", "TEMPORARY TABLE"))
    cursor.execute(ROWS)
    cursor.execute(LOOK_UP, (104,))
    cursor.fetchall()
    cursor.execute("SELECT NULL, 'Müller'")
    cursor.fetchall()
    with contextlib.closing(connection.cursor(prepared=True)) as prepared:
        for number in (105, 106):
            prepared.execute(LOOK_UP, (number,))
            prepared.fetchall()
    connection.commit()
    connection.ping()
    connection.reset_session()
    connection.close()


def mysql_mysqlconnector_pure(server: Server, port: int) -> None:
    """Use Connector/Python, which pings before each cursor; prepared statements."""
    _use_mysqlconnector(_mysqlconnector(server, port, use_pure=True))


def mysql_mysqlconnector_c(server: Server, port: int) -> None:
    """Use Connector/Python over libmysqlclient, which pings before each cursor; prepared statements."""
    _use_mysqlconnector(_mysqlconnector(server, port, use_pure=False))


def _stranger(server: Server, name: str) -> Server:
    """Return the server with an account of which it has seen the password's hash alone: it asks for the password."""
    with contextlib.closing(_pymysql(server, server.port, database=None)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT HEX(authentication_string) FROM mysql.user WHERE user = %s", (server.user,))
        ((digest,),) = cursor.fetchall()
        cursor.execute(f"CREATE USER {name} IDENTIFIED WITH caching_sha2_password AS 0x{digest}")
        cursor.execute(f"GRANT ALL ON corpus.* TO {name}")
    return replace(server, user=name)


def mysql_9_pymysql(server: Server, port: int) -> None:
    """Log in to MySQL with the whole password, encrypted with the server's public key; look-ups."""
    connection = _pymysql(_stranger(server, "somebody"), port)
    cursor = connection.cursor()
    cursor.execute(TABLE)
    cursor.execute(ROWS)
    connection.commit()
    cursor.execute(LOOK_UP, (104,))
    cursor.execute("SELECT NULL, 'Müller'")
    connection.close()


def mysql_9_pymysql_cached(server: Server, port: int) -> None:
    """Log in to MySQL, which has seen the password before."""
    connection = _pymysql(server, port)
    connection.query("SELECT 1")
    connection.close()


def mysql_9_pymysql_denied(server: Server, port: int) -> None:
    """Have MySQL refuse a wrong password."""
    with contextlib.suppress(OperationalError):
        _pymysql(server, port, password="wrong")


def mysql_9_mysqlclient(server: Server, port: int) -> None:
    """Log in to MySQL with the whole password, through Connector/C's plugin."""
    mysql_mysqlclient(_stranger(server, "another"), port)


def mysql_9_mysqlconnector_pure(server: Server, port: int) -> None:
    """Use Connector/Python with MySQL; prepared statements."""
    _use_mysqlconnector(_mysqlconnector(server, port, use_pure=True))


def mysql_9_mysqlconnector_c(server: Server, port: int) -> None:
    """Use Connector/Python over libmysqlclient with MySQL, which it sends query attributes; prepared statements."""
    _use_mysqlconnector(_mysqlconnector(server, port, use_pure=False))


def _psycopg(server: Server, port: int, **options: Any) -> Any:
    account = {"user": server.user, "password": server.password, "dbname": "corpus", "sslmode": "disable"}
    return psycopg.connect(host="127.0.0.1", port=port, **(account | options))


def postgresql_psycopg(server: Server, port: int) -> None:
    """Look-ups, NULL, no rows, a change, an error, a transaction, a notice."""
    connection = _psycopg(server, port, application_name="corpus")
    connection.execute(TABLE)
    connection.execute(ROWS)
    connection.commit()
    connection.execute(LOOK_UP, (104,))
    connection.execute(LOOK_UP, (999,))
    connection.execute(LOOK_UP, (105,), prepare=True)
    connection.execute(LOOK_UP, (106,), prepare=True)
    connection.execute("SELECT NULL, 'Müller'")
    connection.execute("SELECT id FROM orders WHERE id > %b", (107,), binary=True)
    connection.execute("DROP TABLE IF EXISTS nowhere")
    with contextlib.suppress(psycopg.errors.UndefinedTable):
        connection.execute("SELECT * FROM nowhere")
    connection.rollback()
    connection.execute("CREATE ROLE somebody PASSWORD 'not to be recorded'")
    connection.rollback()
    connection.close()


def postgresql_psycopg_special(server: Server, port: int) -> None:
    """Server-side cursor, copying in both directions, portals with a limit, notification, cancelling."""
    connection = _psycopg(server, port)
    with connection.cursor("reader") as cursor:
        cursor.execute("SELECT id FROM orders")
        cursor.fetchmany(3)
        cursor.fetchmany(3)
    with connection.cursor().copy("COPY orders FROM STDIN") as copy:
        copy.write_row((301, "copied"))
        copy.write_row((302, "copied"))
    with connection.cursor().copy("COPY orders TO STDOUT") as copy:
        list(copy.rows())
    connection.rollback()
    connection.autocommit = True
    with connection.pipeline():
        connection.execute(LOOK_UP, (101,))
        connection.execute(LOOK_UP, (102,))
    connection.execute("LISTEN orders")
    connection.execute("NOTIFY orders")
    timer = threading.Timer(0.2, connection.cancel_safe)
    timer.start()
    with contextlib.suppress(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(5)")
    timer.join()
    connection.close()


def postgresql_psycopg_shared(server: Server, port: int) -> None:
    """Two look-ups are sent before either is answered, as two processes on one socket do."""
    connection = _psycopg(server, port, autocommit=True)
    with socket.socket(fileno=os.dup(connection.fileno())) as shared:
        shared.settimeout(5)  # the descriptor does not block
        for number in (101, 102):
            query = (LOOK_UP % number).encode() + b"\0"
            shared.sendall(b"Q" + struct.pack("!I", 4 + len(query)) + query)
        answer = b""
        while answer.count(b"Z\0\0\0\5I") < 2:
            answer += shared.recv(4096)
    connection.close()


def postgresql_psycopg_denied(server: Server, port: int) -> None:
    """Refuse a wrong password."""
    with contextlib.suppress(psycopg.OperationalError):
        _psycopg(server, port, password="wrong")


def postgresql_psycopg_killed(server: Server, port: int) -> None:
    """Another session ends this one."""
    connection = _psycopg(server, port, autocommit=True)
    with _psycopg(server, server.port) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
    with contextlib.suppress(psycopg.OperationalError):
        connection.execute("SELECT 2")


def postgresql_psycopg_tls(server: Server, port: int) -> None:
    """Hide in TLS."""
    connection = _psycopg(server, port, sslmode="verify-ca", sslrootcert=server.ca)
    connection.execute("SELECT 1")
    connection.close()


def _psycopg2(server: Server, port: int, **options: Any) -> Any:
    # Only needed to record, and not in every environment.
    driver = importlib.import_module("psycopg2")
    account = {"user": server.user, "password": server.password, "dbname": "corpus", "sslmode": "disable"}
    return driver.connect(host="127.0.0.1", port=port, **(account | options))


def postgresql_psycopg2(server: Server, port: int) -> None:
    """Use the simple query protocol: look-ups, NULL, no rows, a server-side cursor, several statements, an error."""
    connection = _psycopg2(server, port, application_name="corpus")
    cursor = connection.cursor()
    cursor.execute(TABLE.replace("TABLE", "TEMPORARY TABLE"))
    cursor.execute(ROWS)
    cursor.execute(LOOK_UP, (104,))
    cursor.execute(LOOK_UP, (999,))
    cursor.execute("SELECT NULL, 'Müller'; SELECT 2 AS second")
    connection.commit()
    with connection.cursor("reader") as reader:
        reader.execute("SELECT id FROM orders")
        reader.fetchmany(3)
        reader.fetchmany(3)
    with tempfile.TemporaryFile("w+") as file:
        cursor.copy_expert("COPY orders TO STDOUT", file)
    cursor.execute("UPDATE orders SET customer = 'nobody' WHERE id > 105")
    try:
        cursor.execute("SELECT * FROM nowhere")
    except connection.ProgrammingError:
        connection.rollback()
    connection.reset()
    connection.close()


def expect() -> None:
    """Write what the decoders read, a line an event."""
    for path in sorted(CORPUS.glob("*.hex")):
        decoder: Decoder = recorder.DECODERS[path.name.partition("-")[0]]()
        lines = [msgspec.json.encode(event) for event in decode(decoder, read_conversation(path))]
        path.with_suffix(".json").write_bytes(b"[\n" + b",\n".join(lines) + b"\n]\n")


def record(names: Iterable[str]) -> None:
    """Record conversations of this module, every one if none is named, against servers of its own."""
    talks = {
        name.replace("_", "-"): talk for name, talk in globals().items() if name.startswith(("mysql_", "postgresql_"))
    }
    talks = {name: talks[name] for name in names} or talks
    wanted = {name: next(server for start, server in SERVERS.items() if name.startswith(start)) for name in talks}
    with running(set(wanted.values())) as servers:
        for server in servers.values():
            assert isinstance(server, Server)
            with contextlib.closing(observer(server)) as observing:
                observing.create_database("corpus")
        for name, talk in talks.items():
            server = servers[wanted[name]]
            assert isinstance(server, Server)
            with _taped(server) as (port, conversations):
                talk(server, port)
            for number, conversation in enumerate(conversations, 1):
                lines = [f"# {talk.__doc__}"]
                lines += [f"{'>' if sender == 'client' else '<'} {data.hex()}" for sender, data in conversation]
                path = CORPUS / (f"{name}.hex" if number == 1 else f"{name}-{number}.hex")
                path.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Record unless told to decode only, and print what was read."""
    if "--expect" not in sys.argv[1:]:
        record(sys.argv[1:])
    expect()
    for path in sorted(Path(CORPUS).glob("*.json")):
        print(path.stem)
        for event in msgspec.json.decode(path.read_bytes(), type=list[Event]):
            print(f"    {event.sender:6} {describe(event)}")


if __name__ == "__main__":
    main()
