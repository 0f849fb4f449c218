"""Group member on aiokafka: asyncio, in memory between the event loop and the socket."""

import asyncio
import queue

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError
from member import ERRORS, TICK, Log, Session, commands, load

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


def name_of(error):
    # A refused commit is told with what the broker said as its cause.
    cause = error.__cause__ or error
    return ERRORS.get(getattr(cause, "errno", None), repr(error).replace("\n", " "))


class Listener(ConsumerRebalanceListener):
    def __init__(self, log):
        self.log = log

    def on_partitions_assigned(self, assigned):
        self.log.assigned([tuple(p) for p in assigned])

    def on_partitions_revoked(self, revoked):
        # It comes before the first assignment too, with nothing.
        if revoked:
            self.log.revoked([tuple(p) for p in revoked])


async def main():
    plan, log = load(), Log()
    session, lines = Session(log), commands()
    more = {"group_instance_id": plan["instance_id"]} if plan["instance_id"] else {}
    if plan["assignor"] in ASSIGNORS:
        more["partition_assignment_strategy"] = [ASSIGNORS[plan["assignor"]]]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=",".join(plan["brokers"]),
        # An agent that comes late learns the cluster from the next answer.
        metadata_max_age_ms=1000,
        client_id=plan["client_id"],
        group_id=plan["group"],
        auto_offset_reset="earliest",
        enable_auto_commit=plan["commit"] == "auto",
        auto_commit_interval_ms=1000,
        max_poll_interval_ms=plan["max_poll_interval_ms"],
        session_timeout_ms=plan["session_timeout_ms"],
        heartbeat_interval_ms=plan["session_timeout_ms"] // 6,
        isolation_level=plan["isolation"] or "read_uncommitted",
        **more,
    )
    consumer.subscribe(plan["topics"], listener=Listener(log))
    await consumer.start()
    while True:
        try:
            line = lines.get_nowait()
        except queue.Empty:
            line = ""
        if line is None or line == "close":
            await consumer.stop()
            log.tell("closed")
            return
        try:
            words = session.obey(line) if line else None
            if words == ["commit"]:
                await commit(consumer, log)
            elif words:
                raise ValueError("not a command of this library")
            elif session.left > 0 and not session.paused:
                await take(consumer, session)
            else:
                # Nothing is asked of it: rebalances and heartbeats are the event loop's business.
                await asyncio.sleep(TICK / 10)
        except Exception as error:  # the test is told, whatever it is
            log.tell("error", command=line, error=name_of(error))
            await asyncio.sleep(TICK)


async def take(consumer, session):
    for records in (await consumer.getmany(timeout_ms=int(TICK * 1000), max_records=1)).values():
        for record in records:
            session.took((record.topic, record.partition), record.offset)


async def commit(consumer, log):
    offsets, error = dict(log.next), None
    try:
        if offsets:
            await consumer.commit({TopicPartition(*p): offset for p, offset in offsets.items()})
    except KafkaError as failed:
        error = name_of(failed)
    log.committed(offsets, error)


asyncio.run(main())
