"""Group member on confluent-kafka: librdkafka, whose rebalances are served by poll. For the newest and for librdkafka 2.0."""

import sys

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from member import ERRORS, TICK, Log, load, run


def place(partition):
    return partition.topic, partition.partition


def listed(offsets):
    return [TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()]


def name_of(error):
    known = error.args[0] if isinstance(error, KafkaException) else None
    # Librdkafka's own errors are negative: Kafka has no name for them, librdkafka has.
    return ERRORS.get(known.code(), known.name()) if known is not None else str(error)


class Library:
    idle = TICK

    def __init__(self, plan, log):
        self.plan, self.log = plan, log
        self.taking = False
        self.incremental = plan["protocol"] == "consumer" or plan["assignor"] == "cooperative-sticky"
        self.consumer = self.producer = None
        if plan["group"]:
            self.consumer = Consumer(self.consuming())
            self.consumer.subscribe(plan["topics"], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost)
        if plan["transactional_id"]:
            producing = {"transactional.id": plan["transactional_id"], "transaction.timeout.ms": 30_000}
            self.producer = Producer(self.connection() | producing)
            self.producer.init_transactions(30)

    def connection(self):
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
        return config

    def consuming(self):
        plan = self.plan
        config = self.connection() | {
            "group.id": plan["group"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": plan["commit"] == "auto",
            "auto.commit.interval.ms": 1000,
            "max.poll.interval.ms": plan["max_poll_interval_ms"],
            "on_commit": self.committed,
        }
        if plan["isolation"]:
            config["isolation.level"] = plan["isolation"]
        if plan["instance_id"]:
            config["group.instance.id"] = plan["instance_id"]
        if plan["protocol"] == "consumer":
            return config | {"group.protocol": "consumer"}
        # An agent that comes late learns the names of topic ids from the next answer.
        config |= {"topic.metadata.refresh.interval.ms": 1000}
        config |= {"session.timeout.ms": plan["session_timeout_ms"], "heartbeat.interval.ms": plan["session_timeout_ms"] // 6}
        if plan["assignor"]:
            config["partition.assignment.strategy"] = plan["assignor"]
        return config

    def assigned(self, consumer, partitions):
        (consumer.incremental_assign if self.incremental else consumer.assign)(partitions)
        self.log.assigned([place(p) for p in partitions])
        if not self.taking and partitions:
            consumer.pause(partitions)

    def revoked(self, consumer, partitions):
        self.log.revoked([place(p) for p in partitions])
        self.give_up(consumer, partitions)

    def lost(self, consumer, partitions):
        self.log.lost([place(p) for p in partitions])
        self.give_up(consumer, partitions)

    def give_up(self, consumer, partitions):
        if self.incremental:
            consumer.incremental_unassign(partitions)
        else:
            consumer.unassign()

    def committed(self, error, partitions):
        # It is called for our own commits too; those are told with their answer.
        if self.plan["commit"] == "auto":
            # Librdkafka lists partitions that it has nothing to commit for.
            offsets = {place(p): p.offset for p in partitions if p.offset >= 0}
            self.log.committed(offsets, None if error is None else ERRORS.get(error.code(), error.name()), auto=True)

    def poll(self, take):
        if self.consumer is None:
            return None
        if take != self.taking:
            self.taking = take
            held = self.consumer.assignment()
            if held:
                # Partitions are paused while no record is wanted: poll would hand them out.
                (self.consumer.resume if take else self.consumer.pause)(held)
        message = self.consumer.poll(TICK if take else 0)
        if message is None:
            return None
        if message.error():
            raise KafkaException(message.error())
        return (message.topic(), message.partition()), message.offset()

    def commit(self, offsets):
        for answered in self.consumer.commit(offsets=listed(offsets), asynchronous=False):
            if answered.error:
                raise KafkaException(answered.error)

    def begin(self):
        self.producer.begin_transaction()

    def produce(self, n):
        failed = []
        for i in range(n):
            partition = i % self.plan["out_partitions"]
            # Ten keys in all, so that compaction has something to remove.
            key = b"k%d" % (i % 10)
            self.producer.produce(self.plan["out_topic"], b"x", key, partition, on_delivery=lambda e, _: e and failed.append(e))
        self.producer.flush()
        if failed:
            raise KafkaException(failed[0])

    def send_offsets(self, offsets):
        self.producer.send_offsets_to_transaction(listed(offsets), self.consumer.consumer_group_metadata())

    def end(self, commit):
        if commit:
            self.producer.commit_transaction(30)
        else:
            self.producer.abort_transaction(30)

    def close(self):
        if self.consumer is not None:
            self.consumer.close()


log = Log()
try:
    library = Library(load(), log)
except Exception as wrong:  # the test is told, whatever it is
    log.tell("error", command="", error=name_of(wrong))
    sys.exit(1)
run(log, library, name_of)
