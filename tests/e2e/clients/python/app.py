"""A Kafka client that serves HTTP by a thread for each connection, asks PostgreSQL by libpq and produces by librdkafka (`serve`); one that reads what
it produced, and asks for each message (`work`); and who asks the first (`ask`). The former two write down the truth.

Plan and truth are those of tests/e2e/clients/go/app; instead of a goroutine the truth names the thread.
"""

import http.client
import itertools
import json
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg
import psycopg2
from confluent_kafka import Consumer, Producer


class Truth:
    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")
        self.lock = threading.Lock()

    def note(self, line):
        line = {"status": 0, "tls": False, "rows": 0} | line
        line |= {"ended": time.time_ns(), "thread": threading.get_native_id()}
        with self.lock:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()


def begin(what, **more):
    return {"what": what, "began": time.time_ns()} | more


class Database:
    """The ways to ask: psycopg2 speaks the simple protocol, psycopg the extended one, with statements that it prepares when they come again; without
    parameters the simple one, too."""

    def __init__(self, kind, url):
        # One statement at a time on each connection.
        one, three = psycopg2.connect(url), psycopg.connect(url, autocommit=True)
        locks = [threading.Lock(), threading.Lock()]

        def simple(number):
            with locks[0], one, one.cursor() as cursor:
                cursor.execute("SELECT generate_series(1, %s) /* secret-%s */", (number, number))
                return len(cursor.fetchall())

        def fresh(number):
            connection = psycopg2.connect(url)
            with connection.cursor() as cursor:
                cursor.execute("SELECT generate_series(1, %s)", (number,))
                rows = len(cursor.fetchall())
            connection.close()
            return rows

        def extended(number):
            with locks[1]:
                return len(three.execute("SELECT generate_series(1, %s::int)", (number,)).fetchall())

        def text(number):
            with locks[1]:
                return len(three.execute(f"SELECT generate_series(1, {number}) /* secret-{number} */").fetchall())

        ways = {"psycopg2": simple, "psycopg2-fresh": fresh, "psycopg": extended, "psycopg-simple": text}
        self.ways = {f"{name}-{kind}": way for name, way in ways.items()}


def databases(plan):
    ways = {}
    for kind, url in zip(("plain", "tls"), plan["databases"]):
        ways |= Database(kind, url).ways
    return ways


def ask_database(ways, truth, driver, number, **of):
    line = begin("query", driver=driver, tls=driver.endswith("tls"), **of)
    truth.note(line | {"rows": ways[driver](number)})


class Server:
    def __init__(self, plan):
        self.plan = plan
        self.truth = Truth(plan["truth"])
        self.numbers = itertools.count(1)
        # The first call is to be met by hooks that are in place.
        print("here", flush=True)
        sys.stdin.readline()
        self.producer = Producer({"bootstrap.servers": ",".join(plan["brokers"])})
        self.produce("first")
        self.producer.flush()
        self.ways = databases(plan)
        for port, secret in ((plan["http"], False), (plan["https"], True)):
            server = ThreadingHTTPServer(("127.0.0.1", port), handler(self))
            if secret:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(plan["chain"])
                server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, daemon=True).start()
        print("ready", flush=True)
        sys.stdin.read()

    def produce(self, key):
        """With a report of each: without, which call made which record is known by their order only."""
        self.producer.produce(self.plan["topic"], "ordered", key, on_delivery=delivered)

    def send(self, path, waits):
        line = begin("send", path=path, key=f"key-{next(self.numbers)}")
        self.produce(line["key"])
        self.producer.flush() if waits else self.producer.poll(0)
        self.truth.note(line)

    def answer(self, path):
        """/ask/DRIVER/N asks a database for N rows; /order and /alone produce a message, and the latter waits for its place; /large has a body longer than is copied; of the rest the last
        word is the status."""
        words = path.strip("/").split("/")
        match words[0]:
            case "ask":
                ask_database(self.ways, self.truth, words[1], int(words[2]), path=path)
                return 200, b""
            case "order" | "alone":
                self.send(path, words[0] == "alone")
                return 200, b""
            case "large":
                return 200, bytes(int(words[-1]))
        return int(words[-1]), b"as asked"


def delivered(error, _message):
    if error:
        raise RuntimeError(error)


def handler(server):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            path = self.path.partition("?")[0]
            secret = isinstance(self.connection, ssl.SSLSocket)
            line = begin("request", method=self.command, path=path, tls=secret, version="1.1")
            self.rfile.read(int(self.headers["content-length"]))
            status, body = server.answer(path)
            server.truth.note(line | {"status": status})
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


def work(plan):
    """A statement for each message, by each way in its turn."""
    truth = Truth(plan["worked"])
    ways = databases(plan)
    consumer = Consumer(
        {
            "bootstrap.servers": ",".join(plan["brokers"]),
            "group.id": plan["topic"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([plan["topic"]])
    print("ready", flush=True)
    number = 0
    while number < plan["messages"]:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            raise RuntimeError(message.error())
        driver = list(ways)[number % len(ways)]
        number += 1
        ask_database(ways, truth, driver, number, key=message.key().decode())
        consumer.commit(message, asynchronous=False)
    consumer.close()


def ask(plan):
    """Several connections at once, each with a thread of its own on the other side; then one that is alone."""
    drivers = [f"{name}-{kind}" for name in ("psycopg2", "psycopg2-fresh", "psycopg", "psycopg-simple") for kind in ("plain", "tls")]
    rows = itertools.count(1)

    def connection(way):
        if way == "http":
            return http.client.HTTPConnection("127.0.0.1", plan["http"])
        return http.client.HTTPSConnection("127.0.0.1", plan["https"], context=ssl._create_unverified_context())

    def post(to, path):
        to.request("POST", f"{path}?card=4111-secret", "a body", {"content-type": "text/plain"})
        to.getresponse().read()

    def caller(way, name):
        to = connection(way)
        for round in range(plan["requests"]):
            for driver in drivers:
                post(to, f"/ask/{driver}/{next(rows)}")
            for path in (f"/order/{name}/{round}", "/orders/200", "/orders/404", "/orders/503", f"/large/{10 + round * 7000}"):
                post(to, path)
        to.close()

    callers = [threading.Thread(target=caller, args=(way, f"{way}-{n}")) for way in ("http", "https") for n in range(plan["callers"])]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    for way in ("http", "https"):
        to = connection(way)
        for round in range(plan["requests"]):
            post(to, f"/alone/{way}/{round}")
        to.close()


def main():
    with open(sys.argv[2], encoding="utf-8") as file:
        plan = json.load(file)
    {"serve": Server, "work": work, "ask": ask}[sys.argv[1]](plan)


main()
