// Group member on kafkajs. The library pushes batches and tells of its group by instrumentation events; it has no callback for
// partitions taken away, so that "revoked" is told when it begins to rejoin. Usage: member.mjs PLAN.json PACKAGES
// The protocol is in ../README.md.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const { Kafka, PartitionAssigners, logLevel } = createRequire(`${process.argv[3]}/`)('kafkajs');
const plan = JSON.parse(readFileSync(process.argv[2], 'utf8'));
// Places are 'topic/partition' as keys.
const held = new Set();
const next = new Map();
const counts = new Map();
let wanted = 0;
let left = 0;
let paused = false;

const tell = (event, more = {}) => process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
const key = (topic, partition) => `${topic}/${partition}`;
const place = (text) => [text.slice(0, text.lastIndexOf('/')), Number(text.slice(text.lastIndexOf('/') + 1))];
const places = (keys) => [...keys].sort().map(place);
const flat = (map) => [...map].sort().map(([text, value]) => [...place(text), value]);

const kafka = new Kafka({ clientId: plan.client_id, brokers: plan.brokers, logLevel: logLevel.WARN });
const consumer = kafka.consumer({
  groupId: plan.group,
  sessionTimeout: plan.session_timeout_ms,
  heartbeatInterval: Math.floor(plan.session_timeout_ms / 6),
  partitionAssigners: [PartitionAssigners.roundRobin],
  readUncommitted: plan.isolation !== 'read_committed',
  maxWaitTimeInMs: 500,
});

const giveUp = () => {
  if (held.size === 0) return;
  tell('revoked', { partitions: places(held) });
  held.clear();
  next.clear();
};
consumer.on(consumer.events.REBALANCING, giveUp);
consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
  giveUp();
  for (const [topic, partitions] of Object.entries(payload.memberAssignment)) {
    for (const partition of partitions) held.add(key(topic, partition));
  }
  tell('assigned', { partitions: places(held) });
  // A partition that is new to the consumer is not paused yet.
  if (left === 0) consumer.pause(plan.topics.map((topic) => ({ topic })));
});
consumer.on(consumer.events.CRASH, ({ payload }) => tell('error', { command: '', error: String(payload.error) }));

const eachBatch = async ({ batch, resolveOffset, heartbeat, isRunning, isStale }) => {
  for (const message of batch.messages) {
    // What was not taken is fetched again when it is wanted.
    if (left === 0 || paused || !isRunning() || isStale()) break;
    const at = key(batch.topic, batch.partition);
    resolveOffset(message.offset);
    counts.set(at, (counts.get(at) ?? 0) + 1);
    if (held.has(at)) next.set(at, Number(message.offset) + 1);
    left -= 1;
    if (left === 0) {
      consumer.pause(plan.topics.map((topic) => ({ topic })));
      tell('consumed', { n: wanted, offsets: flat(next), counts: flat(counts) });
    }
  }
  await heartbeat();
};

const commit = async () => {
  const offsets = flat(next);
  let error = '';
  try {
    const wire = offsets.map(([topic, partition, offset]) => ({ topic, partition, offset: String(offset) }));
    if (wire.length > 0) await consumer.commitOffsets(wire);
  } catch (failed) {
    error = failed.type ?? String(failed);
  }
  tell('committed', { ok: error === '', error, offsets, auto: false });
};

const obey = async ([word, argument]) => {
  switch (word) {
    case 'consume':
      paused = false;
      wanted = left = Number(argument);
      return consumer.resume(plan.topics.map((topic) => ({ topic })));
    case 'commit':
      return commit();
    case 'stop': {
      const n = wanted - left;
      wanted = left = 0;
      consumer.pause(plan.topics.map((topic) => ({ topic })));
      return tell('consumed', { n, offsets: flat(next), counts: flat(counts) });
    }
    case 'pause':
    case 'poll':
      paused = word === 'pause';
      consumer[paused ? 'pause' : 'resume'](plan.topics.map((topic) => ({ topic })));
      return tell(word);
    default:
      throw new Error('not a command of this library');
  }
};

await consumer.connect();
await consumer.subscribe({ topics: plan.topics, fromBeginning: true });
await consumer.run({
  autoCommit: plan.commit === 'auto', autoCommitInterval: 1000, eachBatchAutoResolve: false, partitionsConsumedConcurrently: 1, eachBatch,
});
for await (const line of createInterface({ input: process.stdin })) {
  if (line.trim() === 'close') break;
  await obey(line.trim().split(/\s+/)).catch((error) => tell('error', { command: line, error: String(error) }));
}
await consumer.disconnect();
tell('closed');
