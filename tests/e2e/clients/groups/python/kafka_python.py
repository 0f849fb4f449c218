"""Group member on kafka-python: pure Python, heartbeats from a thread of its own."""

import logging
import time

from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata
from member import ERRORS, TICK, Log, load, run

ASSIGNORS = {
    "range": "kafka.coordinator.assignors.range.RangePartitionAssignor",
    "roundrobin": "kafka.coordinator.assignors.roundrobin.RoundRobinPartitionAssignor",
}


def name_of(error):
    # A refused commit holds what the broker said.
    cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    return ERRORS.get(getattr(cause, "errno", None), repr(error).replace("\n", " "))


class Library(ConsumerRebalanceListener):
    # It joins its group within poll alone.
    idle = 0.001

    def __init__(self, plan, log):
        self.log = log
        self.taking = False
        more = {}
        if plan["instance_id"]:
            more["group_instance_id"] = plan["instance_id"]
        if plan["isolation"]:
            more["isolation_level"] = plan["isolation"]
        if plan["assignor"] in ASSIGNORS:
            module, name = ASSIGNORS[plan["assignor"]].rsplit(".", 1)
            more["partition_assignment_strategy"] = [getattr(__import__(module, fromlist=[name]), name)]
        self.consumer = KafkaConsumer(
            bootstrap_servers=plan["brokers"],
            client_id=plan["client_id"],
            group_id=plan["group"],
            auto_offset_reset="earliest",
            # A new topic may not be in its first metadata; by default it asks again after 5 minutes.
            metadata_max_age_ms=1000,
            enable_auto_commit=plan["commit"] == "auto",
            auto_commit_interval_ms=1000,
            max_poll_interval_ms=plan["max_poll_interval_ms"],
            session_timeout_ms=plan["session_timeout_ms"],
            heartbeat_interval_ms=plan["session_timeout_ms"] // 6,
            **more,
        )
        # A leader that joins before it knows the topic's partitions assigns none, and stays with that.
        while not all(self.consumer.partitions_for_topic(t) for t in plan["topics"]):
            time.sleep(0.1)
        self.consumer.subscribe(plan["topics"], listener=self)

    def on_partitions_assigned(self, assigned):
        self.log.assigned([tuple(p) for p in assigned])
        if not self.taking and assigned:
            self.consumer.pause(*assigned)

    def on_partitions_revoked(self, revoked):
        self.log.revoked([tuple(p) for p in revoked])

    def on_partitions_lost(self, lost):
        self.log.lost([tuple(p) for p in lost])

    def poll(self, take):
        if take != self.taking:
            self.taking = take
            held = self.consumer.assignment()
            # Partitions are paused while no record is wanted: poll would hand them out.
            (self.consumer.resume if take else self.consumer.pause)(*held)
        # Also with nothing to take: with a timeout of 0 it would never come to join the group.
        for records in self.consumer.poll(timeout_ms=int(TICK * 1000), max_records=1).values():
            for record in records:
                return (record.topic, record.partition), record.offset
        return None

    def commit(self, offsets):
        self.consumer.commit({TopicPartition(*p): OffsetAndMetadata(offset, "", -1) for p, offset in offsets.items()})

    def close(self):
        self.consumer.close(autocommit=False)
        # Its threads end by themselves; what they still print belongs into the log.
        time.sleep(TICK)


logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
log = Log()
run(log, Library(load(), log), name_of)
