"""Processes messages with confluent-kafka, and writes down what nobody else can know.

Plan, patterns and truth are those of tests/e2e/clients/go/processing/README.md; instead of a goroutine the truth names the thread.
"""

import json
import queue
import sys
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition

STORES = ("async", "pool")
WORKERS = 4


class Truth:
    def __init__(self, plan):
        self.file = open(plan["truth"], "w", encoding="utf-8")
        self.lock = threading.Lock()
        self.left = plan["records"]

    def done(self, messages):
        """True: they were the last."""
        with self.lock:
            for message in messages:
                self.file.write(json.dumps(message) + "\n")
            self.file.flush()
            self.left -= len(messages)
            return self.left <= 0


class Program:
    def __init__(self, plan):
        self.plan = plan
        self.pattern = plan["pattern"]
        self.truth = Truth(plan)
        config = {
            "bootstrap.servers": ",".join(plan["brokers"]),
            "client.id": plan["client_id"],
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": plan["ca"],
            "sasl.mechanism": "PLAIN",
            "sasl.username": plan["user"],
            "sasl.password": plan["password"],
        }
        reading = {
            "group.id": plan["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": self.pattern == "auto" or self.pattern in STORES,
            "enable.auto.offset.store": self.pattern not in STORES,
        }
        self.consumer = Consumer(config | reading)
        self.producer = Producer(config | {"linger.ms": 1})
        self.consumer.subscribe([plan["topic"]])

    def fetch(self, most, seconds=1):
        """Asks once: messages, each with what is told of it."""
        asked = time.monotonic_ns()
        found = self.consumer.consume(most, seconds) if most > 1 else [self.consumer.poll(seconds)]
        began = time.monotonic_ns()
        return [(message, told(message, asked, began)) for message in found if message is not None]

    def work(self, message, own):
        """The plan's pause once to three times, by the offset. What fails becomes a dead letter; in the pattern results each has one."""
        own["worked"] = time.monotonic_ns()
        time.sleep(self.plan["pause"] * (1 + own["offset"] % 3) / 1e6)
        own["failed"] = self.pattern == "retry" and own["offset"] % 10 == 0
        if own["failed"] or self.pattern == "results":
            places = []
            self.producer.produce(
                self.plan["dead_letters"], message.value(), on_delivery=lambda error, of: places.append((error, of))
            )
            self.producer.flush()
            error, of = places[0]
            if error:
                raise RuntimeError(error)
            own["sent"] = {"topic": of.topic(), "partition": of.partition(), "offset": of.offset()}

    def settle(self, given):
        ended = time.monotonic_ns()
        if self.pattern in STORES:
            self.consumer.store_offsets(given[0][0])
        elif len(given) == 1:
            self.consumer.commit(given[0][0], asynchronous=False)
        else:
            behind = {own["partition"]: own["offset"] + 1 for _, own in given}
            offsets = [TopicPartition(self.plan["topic"], *place) for place in behind.items()]
            self.consumer.commit(offsets=offsets, asynchronous=False)
        settled = time.monotonic_ns()
        for _, own in given:
            own["ended"] = own["ended"] or ended
            own["settled"] = own["settled"] or settled
        return self.truth.done([own for _, own in given])

    def rounds(self, most):
        last = False
        while not last:
            given = self.fetch(most)
            for message, own in given:
                self.work(message, own)
            if given:
                last = self.settle(given)

    def auto(self):
        """Nothing is named: the next request ends the work, or the end of the consumer."""
        before = None
        n = 0
        while n < self.plan["records"]:
            given = self.fetch(1)
            if before:
                before["settled"] = time.monotonic_ns()
                self.truth.done([before])
                before = None
            for message, own in given:
                self.work(message, own)
                own["ended"] = time.monotonic_ns()
                before = own
                n += 1
        self.consumer.close()
        before["settled"] = time.monotonic_ns()
        self.truth.done([before])

    def pool(self):
        """The main thread asks; others work and store."""
        waiting = queue.Queue(WORKERS)
        over = threading.Event()

        def worker():
            while (given := waiting.get()) is not None:
                self.work(*given)
                if self.settle([given]):
                    over.set()

        workers = [threading.Thread(target=worker) for _ in range(WORKERS)]
        for thread in workers:
            thread.start()
        while not over.is_set():
            for given in self.fetch(1, 0.02):
                waiting.put(given)
            # confluent-kafka 2.16 keeps other threads from running while it waits.
            time.sleep(0.0005)
        for _ in workers:
            waiting.put(None)
        for thread in workers:
            thread.join()

    def run(self):
        patterns = {"auto": self.auto, "pool": self.pool, "polled": lambda: self.rounds(50)}
        patterns.get(self.pattern, lambda: self.rounds(1))()
        if self.pattern != "auto":
            self.consumer.close()


def told(message, asked, began):
    if message.error():
        raise RuntimeError(message.error())
    contexts = [value.decode() for name, value in message.headers() or [] if name == "traceparent"]
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "context": contexts[-1] if contexts else "",
        "thread": threading.get_native_id(),
        "asked": asked,
        "began": began,
        "worked": 0,
        "ended": 0,
        "settled": 0,
        "failed": False,
        "sent": None,
    }


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    sys.stdin.readline()
    Program(plan).run()


main()
