"""Golden client on confluent-kafka: librdkafka with a static OpenSSL inside the wheel.

Reads its plan (JSON) from the file named by its first argument and commands from standard input, as the Go clients do:
see tests/e2e/clients/go/golden/run.go.
"""

import json
import os
import random
import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

PARTITIONS = 3
KIB = 1 << 10
MIB = 1 << 20


class Client:
    def __init__(self, plan):
        self.plan = plan
        self.truth = open(plan["truth"], "a", encoding="utf-8")
        self.producers = {}
        self.consumer = None
        self.failures = []

    def config(self, **more):
        plan = self.plan
        config = {"bootstrap.servers": ",".join(plan["brokers"]), "client.id": plan["client_id"]}
        if plan["tls"]:
            config |= {
                "security.protocol": "SASL_SSL",
                "ssl.ca.location": plan["ca"],
                "sasl.mechanism": plan["mechanism"],
                "sasl.username": plan["user"],
                "sasl.password": plan["password"],
            }
        return config | {key.replace("_", "."): value for key, value in more.items()}

    def producer(self, large):
        if large not in self.producers:
            batch, linger = (8 * MIB, 200) if large else (64 * KIB, 1)
            self.producers[large] = Producer(
                self.config(
                    acks="all",
                    compression_type=self.plan["codec"],
                    batch_size=batch,
                    linger_ms=linger,
                    message_max_bytes=10 * MIB,
                    queue_buffering_max_kbytes=256 * KIB,
                )
            )
        return self.producers[large]

    def produce(self, records, large=False):
        producer = self.producer(large)
        for topic, partition, key, headers, value in records:

            def delivered(error, message, headers=headers, value=value):
                if error is not None:
                    self.failures.append(error)
                else:
                    self.write("produced", message, headers, len(value))

            producer.produce(topic, value, key, partition, on_delivery=delivered, headers=headers)
            producer.poll(0)
        producer.flush()
        if self.failures:
            raise KafkaException(self.failures[0])

    def consume(self, topics, n):
        if self.consumer is None:
            group = self.plan["group"]
            self.consumer = Consumer(
                self.config(
                    group_id=group or "unused",
                    auto_offset_reset="earliest",
                    fetch_max_bytes=120 * MIB,
                    max_partition_fetch_bytes=64 * MIB,
                    receive_message_max_bytes=200 * MIB,
                    enable_auto_commit=bool(group),
                )
            )
            if group:
                self.consumer.subscribe(topics)
            else:
                everything = [TopicPartition(t, p, OFFSET_BEGINNING) for t in topics for p in range(PARTITIONS)]
                self.consumer.assign(everything)
        deadline = time.monotonic() + 120
        while n > 0:
            for message in self.consumer.consume(min(n, 1000), timeout=1.0):
                if message.error():
                    raise KafkaException(message.error())
                headers = [(key, value.decode()) for key, value in message.headers() or []]
                self.write("consumed", message, headers, len(message.value()))
                n -= 1
            if time.monotonic() > deadline:
                raise TimeoutError(f"{n} records are missing")

    def write(self, did, message, headers, size):
        key = message.key()
        line = {
            "did": did,
            "topic": message.topic(),
            "partition": message.partition(),
            "offset": message.offset(),
            "key": None if key is None else key.decode(),
            "headers": headers,
            "size": size,
        }
        self.truth.write(json.dumps(line) + "\n")

    def close(self):
        for producer in self.producers.values():
            producer.flush()
        self.producers.clear()
        if self.consumer is not None:
            self.consumer.close()

    # Records: (topic, partition, key, headers, value).

    def many(self, n, topics):
        marker = self.plan["marker"].encode()
        for i in range(n):
            size = {0: 0, 1: random.randrange(32 * KIB)}.get(i % 50, random.randrange(2 * KIB))
            filler = b"".join(b"order " * 8 + b"%d;" % random.getrandbits(32) for _ in range(size // 48 + 1))
            value = (marker + filler)[:size] if size >= len(marker) else b"x" * size
            yield topics[i % len(topics)], i // len(topics) % PARTITIONS, self.key(i), self.headers(i), value

    def noise(self, topic, n, size, spread):
        marker = self.plan["marker"].encode()
        for i in range(n):
            value = marker + os.urandom(size - len(marker))
            yield topic, i % spread, self.key(i), self.headers(i), value

    def key(self, i):
        return None if i % 10 == 9 else f"key-{i}"

    def headers(self, i):
        return [] if i % 3 == 0 else [("n", str(i)), ("client", self.plan["client_id"])]


def command(client, words):
    topics = words[-1].split(",")
    match words[0]:
        case "many":
            client.produce(client.many(int(words[1]), topics))
        case "wide":
            client.produce(client.noise(words[1], 33, 256 * KIB, PARTITIONS), large=True)
        case "tall":
            client.produce(client.noise(words[1], 56, MIB, 1), large=True)
        case "pace":
            for record in client.many(int(words[1]), topics):
                client.produce([record])
                time.sleep(int(words[2]) / 1000)
        case "consume":
            client.consume(topics, int(words[1]))
        case "reconnect":
            for record in client.many(int(words[1]), topics):
                once = Client(client.plan)
                once.produce([record])
                once.close()
                once.truth.close()
        case other:
            raise ValueError(f"unknown command {other}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    client = Client(plan)
    for line in sys.stdin:
        try:
            command(client, line.split())
        except Exception as error:  # the test is told, whatever it is
            print("error", repr(error).replace("\n", " "), flush=True)
            sys.exit(1)
        client.truth.flush()
        print("ok", flush=True)
    client.close()


main()
