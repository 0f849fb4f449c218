"""What all group members in Python share: the commands they obey, the events they tell. The protocol is in ../README.md.

A library is an object with `idle` (seconds that it may be left alone), `poll(take)`, which waits for a moment if it is to take a
record, `commit(offsets)`, `close()`, and where it can `begin`, `produce`, `send_offsets`, `end`.
Places are (topic, partition); offsets are a dict from places to numbers.
"""

import json
import queue
import sys
import threading
import time

TICK = 0.05

# Kafka's own names of the errors that members and transactional producers meet.
ERRORS = {
    15: "COORDINATOR_NOT_AVAILABLE",
    16: "NOT_COORDINATOR",
    22: "ILLEGAL_GENERATION",
    25: "UNKNOWN_MEMBER_ID",
    27: "REBALANCE_IN_PROGRESS",
    47: "INVALID_PRODUCER_EPOCH",
    48: "INVALID_TXN_STATE",
    51: "CONCURRENT_TRANSACTIONS",
    82: "FENCED_INSTANCE_ID",
    90: "PRODUCER_FENCED",
    110: "FENCED_MEMBER_EPOCH",
    113: "STALE_MEMBER_EPOCH",
}


def load():
    with open(sys.argv[1], encoding="utf-8") as file:
        return json.load(file)


class Log:
    """Tells the test what happens, and knows how far the application has read."""

    def __init__(self):
        self.held = set()
        # The offset after the last record that the application was given, of partitions held.
        self.next = {}
        # Records that the application was given, ever.
        self.counts = {}

    def tell(self, event, **more):
        sys.stdout.write(json.dumps({"event": event} | more) + "\n")
        sys.stdout.flush()

    def assigned(self, places):
        self.held.update(places)
        self.tell("assigned", partitions=sorted(places))

    def revoked(self, places):
        self.gone("revoked", places)

    def lost(self, places):
        self.gone("lost", places)

    def gone(self, event, places):
        for place in places:
            self.held.discard(place)
            self.next.pop(place, None)
        self.tell(event, partitions=sorted(places))

    def committed(self, offsets, error=None, auto=False):
        """Of one commit; auto if the library made it by itself. Without offsets nothing was sent."""
        self.tell("committed", ok=error is None, error=error or "", offsets=flat(offsets), auto=auto)

    def took(self, place, offset):
        self.counts[place] = self.counts.get(place, 0) + 1
        if place in self.held:
            self.next[place] = offset + 1


def flat(offsets):
    return [[topic, partition, value] for (topic, partition), value in sorted(offsets.items())]


def commands():
    """Lines of standard input, read beside the library; None at its end."""
    lines = queue.Queue()

    def read():
        for line in sys.stdin:
            lines.put(line.strip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


class Session:
    """What was asked for so far; the same for libraries that block and for those that do not."""

    def __init__(self, log):
        self.log = log
        self.paused = False
        self.wanted = self.left = 0

    def took(self, place, offset):
        self.log.took(place, offset)
        self.left -= 1
        if self.left == 0:
            self.consumed(self.wanted)

    def consumed(self, n):
        self.log.tell("consumed", n=n, offsets=flat(self.log.next), counts=flat(self.log.counts))

    def obey(self, line):
        """Does what needs no library; else gives the words of the command."""
        words = line.split()
        if words[0] == "consume":
            self.wanted = self.left = int(words[1])
            self.paused = False
        elif words[0] == "stop":
            n = self.wanted - self.left
            self.wanted = self.left = 0
            self.consumed(n)
        elif words[0] in ("pause", "poll"):
            self.paused = words[0] == "pause"
            self.log.tell(words[0])
        else:
            return words
        return None


def failure(error):
    return str(error).replace("\n", " ") or type(error).__name__


def run(log, library, name_of=failure):
    """Obeys the commands of standard input. `name_of` gives an exception Kafka's own name where it has one."""
    lines, session = commands(), Session(log)
    while True:
        try:
            # Waited for while paused, and for a moment while no record is wanted.
            wait = None if session.paused else library.idle
            line = lines.get_nowait() if session.left > 0 else lines.get(timeout=wait)
        except queue.Empty:
            line = ""
        if line is None or line == "close":
            library.close()
            log.tell("closed")
            return
        try:
            if line:
                words = session.obey(line)
                if words:
                    perform(log, library, words, name_of)
                continue
            record = library.poll(session.left > 0)
            if record:
                session.took(*record)
        except Exception as error:  # the test is told, whatever it is
            log.tell("error", command=line, error=name_of(error))
            time.sleep(TICK)


def perform(log, library, words, name_of):
    told, error = {}, None
    offsets = dict(log.next)
    try:
        if words[0] == "commit":
            if offsets:
                library.commit(offsets)
        elif words[0] == "begin":
            library.begin()
        elif words[0] == "produce":
            told = {"n": int(words[1])}
            library.produce(int(words[1]))
        elif words[0] == "send_offsets":
            told = {"offsets": flat(offsets)}
            library.send_offsets(offsets)
        elif words[0] == "end":
            told = {"how": words[1]}
            library.end(words[1] == "commit")
        else:
            raise ValueError("unknown command")
    except AttributeError:
        raise ValueError("not a command of this library") from None
    except Exception as failed:  # the test is told, whatever it is
        error = name_of(failed)
    if words[0] == "commit":
        log.committed(offsets, error)
    else:
        log.tell(words[0], ok=error is None, error=error or "", **told)
