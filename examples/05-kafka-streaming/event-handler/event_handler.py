"""event-handler reads "orders" in the consumer group "event-handlers" and keeps in PostgreSQL what each customer bought."""

import json
import os
import signal
import threading
import time

import psycopg2
from confluent_kafka import Consumer, KafkaException

SCHEMA = "CREATE TABLE IF NOT EXISTS customers (name text PRIMARY KEY, bought bigint NOT NULL)"
BOUGHT = """INSERT INTO customers (name, bought) VALUES (%s, %s)
            ON CONFLICT (name) DO UPDATE SET bought = customers.bought + excluded.bought"""

running = True


def stop(*_):
    global running
    running = False


def handle(database, order):
    with database, database.cursor() as cursor:
        cursor.execute(BOUGHT, (order["customer"], order["quantity"]))


def write(diary, order, message, asked, began, ended):
    """A line for the end-to-end tests, as the Go services write it: nanoseconds since the epoch."""
    entry = {"order": order["id"], "partition": message.partition(), "offset": message.offset(), "thread": threading.get_native_id()}
    entry |= {"asked": asked, "began": began, "ended": ended, "settled": time.time_ns()}
    diary.write(json.dumps(entry) + "\n")


def main():
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    path = os.environ.get("DIARY_FILE")
    diary = open(path, "a", buffering=1) if path else None
    database = psycopg2.connect(os.environ["DATABASE_URL"])
    with database, database.cursor() as cursor:
        cursor.execute(SCHEMA)
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BROKERS"],
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": os.environ["KAFKA_USERNAME"],
            "sasl.password": os.environ["KAFKA_PASSWORD"],
            "ssl.ca.location": os.environ["KAFKA_CA_FILE"],
            "client.id": "event-handler",
            "group.id": "event-handlers",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe(["orders"])
    print("event-handler reads orders", flush=True)
    while running:
        asked = time.time_ns()
        message = consumer.poll(0.5)
        began = time.time_ns()
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        order = json.loads(message.value())
        handle(database, order)
        ended = time.time_ns()
        consumer.commit(message=message, asynchronous=False)
        if diary:
            write(diary, order, message, asked, began, ended)
    consumer.close()
    database.close()


if __name__ == "__main__":
    main()
