"""event-handler reads "orders" in the consumer group "event-handlers" and keeps what each customer bought."""

import json
import os
import signal
from collections import Counter

from confluent_kafka import Consumer, KafkaException

running = True


def stop(*_):
    global running
    running = False


def main():
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
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
        }
    )
    consumer.subscribe(["orders"])
    bought = Counter()
    while running:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        order = json.loads(message.value())
        bought[order["customer"]] += order["quantity"]
    consumer.close()


if __name__ == "__main__":
    main()
