"""The load of tests/bench/load/main.go with confluent-kafka, called message by message: flags, commands and answers are the same."""

import argparse
import json
import os
import random
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, Producer

IN_FLIGHT = 20_000
QUANTILES = (0.5, 0.99, 0.999)


class Latencies:
    """Durations in buckets 1/64 of their size wide. One thread adds."""

    def __init__(self):
        self.buckets = {}

    def add(self, ns):
        shift = max(ns.bit_length() - 7, 0)
        # As one number: the width of the bucket and its place.
        bucket = shift << 8 | ns >> shift
        buckets = self.buckets
        buckets[bucket] = buckets.get(bucket, 0) + 1

    def take(self):
        """How many there were; p50, p99 and p99.9 in microseconds; begins anew."""
        buckets, self.buckets = self.buckets, {}
        counts = sorted(buckets.items())
        total = sum(count for _, count in counts)
        found = []
        for quantile in QUANTILES:
            seen, micros = 0, 0.0
            for bucket, count in counts:
                seen += count
                micros = ((bucket & 255) + 0.5) * 2 ** (bucket >> 8) / 1000
                if seen >= quantile * total:
                    break
            found.append(micros)
        return total, found


def die(why):
    """sys.exit would end the thread only."""
    print(why, file=sys.stderr, flush=True)
    os._exit(1)


class Load:
    def __init__(self, flags):
        config = {
            "bootstrap.servers": flags.brokers,
            "client.id": "load",
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": flags.ca,
            "sasl.mechanism": "PLAIN",
            "sasl.username": os.environ["KAFKA_USERNAME"],
            "sasl.password": os.environ["KAFKA_PASSWORD"],
        }
        self.topic = flags.topic
        self.value = random.randbytes(flags.size - 8)
        self.rate, self.offered, self.flying = -1, 0, 0
        self.acked, self.read = Latencies(), Latencies()
        self.producer = Producer(config | {"acks": "all", "linger.ms": 5})
        self.consumer = Consumer(config | {"group.id": "confluent-kafka-python", "auto.offset.reset": "latest"})
        self.consumer.subscribe([flags.topic])

    def send(self, due):
        def acked(error, _):
            if error:
                die(f"produce: {error}")
            self.flying -= 1
            self.acked.add(max(time.monotonic_ns() - due, 0))

        self.offered += 1
        self.flying += 1
        value = due.to_bytes(8, "little") + self.value
        while True:
            try:
                return self.producer.produce(self.topic, value, on_delivery=acked)
            except BufferError:
                self.producer.poll(0.001)

    def produce(self):
        """Offers each message when it is due, in steps of a millisecond; at rate 0 keeps the client's buffer full.

        Reports come within poll, which this thread calls: counters have one writer.
        """
        running, began, sent = -1, 0, 0
        while True:
            rate = self.rate
            if rate != running:
                running, began, sent = rate, time.monotonic_ns(), 0
            if rate > 0:
                due = (time.monotonic_ns() - began) * rate // 1_000_000_000
                while sent < due:
                    self.send(began + sent * 1_000_000_000 // rate)
                    sent += 1
                    if sent % 64 == 0:
                        self.producer.poll(0)
            elif rate == 0 and self.flying <= IN_FLIGHT:
                for _ in range(500):
                    self.send(time.monotonic_ns())
            self.producer.poll(0.001)

    def consume(self):
        while True:
            message = self.consumer.poll(1)
            if message is None:
                continue
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    print(f"consume: {message.error()}", file=sys.stderr, flush=True)
                continue
            self.read.add(max(time.monotonic_ns() - int.from_bytes(message.value()[:8], "little"), 0))

    def window(self, seconds):
        offered, self.offered = self.offered, 0
        acked, ack_micros = self.acked.take()
        consumed, end_micros = self.read.take()
        return {
            "seconds": seconds,
            "offered": offered,
            "acked": acked,
            "consumed": consumed,
            "ack_micros": ack_micros,
            "end_micros": end_micros,
        }


def main():
    flags = argparse.ArgumentParser()
    for name in ("brokers", "topic", "ca"):
        flags.add_argument("-" + name, required=True)
    flags.add_argument("-size", type=int, default=1024)
    load = Load(flags.parse_args())
    for run in (load.produce, load.consume):
        threading.Thread(target=run, daemon=True).start()
    since = time.monotonic()
    for line in sys.stdin:
        words = line.split()
        if words[0] == "rate":
            load.rate = int(words[1])
            print("{}", flush=True)
        elif words == ["window"]:
            now = time.monotonic()
            answer = load.window(now - since)
            since = now
            print(json.dumps(answer), flush=True)
        else:
            die(f"not a command: {line}")
    # Daemon threads stand within librdkafka: nothing is torn down under them.
    os._exit(0)


if __name__ == "__main__":
    main()
