"""A client whose connection is shared by two processes after a fork: one writes requests, the other reads the answers.

No client library does this on purpose, so the few Kafka messages are built here by hand: SaslHandshake v1, SaslAuthenticate v1,
Produce v7 with one record batch v2. Usage: fork.py PLAN.json TOPIC ROUNDS. Prints `ok` when all is acknowledged.
"""

import json
import os
import socket
import ssl
import struct
import sys
import time

PARTITIONS = 3
RECORDS = 3  # in a batch


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def string(text):
    return struct.pack(">h", len(text)) + text.encode()


def batch(values):
    records = b""
    for delta, value in enumerate(values):
        key = b"fork"
        body = b"\0" + varint(0) + varint(delta) + varint(len(key)) + key + varint(len(value)) + value + varint(0)
        records += varint(len(body)) + body
    now = int(time.time() * 1000)
    after_crc = struct.pack(">hiqqqhii", 0, len(values) - 1, now, now, -1, -1, -1, len(values)) + records
    after_length = struct.pack(">ibI", -1, 2, crc32c(after_crc)) + after_crc
    return struct.pack(">qi", 0, len(after_length)) + after_length


class Connection:
    def __init__(self, plan):
        host, port = plan["brokers"][0].split(":")
        self.stream = socket.create_connection((host, int(port)))
        self.client_id = plan["client_id"]
        self.next = 1
        if plan["tls"]:
            context = ssl.create_default_context(cafile=plan["ca"])
            self.stream = context.wrap_socket(self.stream, server_hostname="localhost")
            self.send(17, 1, string("PLAIN"))
            self.receive()
            token = b"\0" + plan["user"].encode() + b"\0" + plan["password"].encode()
            self.send(36, 1, struct.pack(">i", len(token)) + token)
            _, answer = self.receive()
            assert answer[:2] == b"\0\0", answer

    def send(self, key, version, body):
        head = struct.pack(">hhi", key, version, self.next) + string(self.client_id)
        self.next += 1
        self.stream.sendall(struct.pack(">i", len(head + body)) + head + body)

    def produce(self, topic, partition, values):
        records = batch(values)
        body = struct.pack(">hhi", -1, -1, 30_000)
        body += struct.pack(">i", 1) + string(topic) + struct.pack(">i", 1)
        self.send(0, 7, body + struct.pack(">ii", partition, len(records)) + records)

    def receive(self):
        size = struct.unpack(">i", self.exactly(4))[0]
        answer = self.exactly(size)
        return struct.unpack(">i", answer[:4])[0], answer[4:]

    def exactly(self, size):
        out = b""
        while len(out) < size:
            part = self.stream.recv(size - len(out))
            if not part:
                raise ConnectionError("the broker closed the connection")
            out += part
        return out

    def acknowledged(self, topic):
        """(partition, base offset) of the next answer."""
        _, body = self.receive()
        at = 4 + 2 + len(topic) + 4
        partition, error, offset = struct.unpack(">ihq", body[at : at + 14])
        assert error == 0, error
        return partition, offset


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    topic, rounds = sys.argv[2], int(sys.argv[3])
    truth = open(plan["truth"], "w", encoding="utf-8")

    def keep(partition, offset, values):
        for delta, value in enumerate(values):
            line = {"did": "produced", "topic": topic, "partition": partition, "offset": offset + delta}
            truth.write(json.dumps(line | {"key": "fork", "headers": [], "size": len(value)}) + "\n")

    def values(i):
        return [plan["marker"].encode() + b"x" * (i + n) for n in range(RECORDS)]

    connection = Connection(plan)
    for i in range(rounds):
        connection.produce(topic, i % PARTITIONS, values(i))
        keep(*connection.acknowledged(topic), values(i))

    # The child writes on the shared handle, the parent reads what comes back.
    child = os.fork()
    if child == 0:
        for i in range(rounds):
            connection.produce(topic, i % PARTITIONS, values(i))
        # Not a close of the connection: the other process still holds it.
        os._exit(0)
    for i in range(rounds):
        keep(*connection.acknowledged(topic), values(i))
    os.waitpid(child, 0)
    truth.close()
    print("ok", flush=True)


main()
