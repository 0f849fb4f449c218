/* The load of tests/bench/load/main.go with librdkafka, called message by message: flags, commands and answers are the same. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUCKETS = 64 * 64, IN_FLIGHT = 20000 };

/* Durations in buckets 1/64 of their size wide. */
struct latencies {
	_Atomic int64_t buckets[BUCKETS];
};

static const char *brokers, *topic, *ca;
static size_t size = 1024;
static _Atomic int64_t rate = -1, offered, flying;
static struct latencies acked, consumed;
static rd_kafka_t *producer, *consumer;

static void die(const char *what, const char *why) {
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static int64_t now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void nap(int64_t ns) { nanosleep(&(struct timespec){.tv_nsec = ns}, NULL); }

static void add(struct latencies *to, int64_t duration) {
	uint64_t n = duration > 0 ? (uint64_t)duration : 0;
	size_t bucket = n;
	if (n >= 64) {
		int shift = 63 - __builtin_clzll(n) - 6;
		bucket = (size_t)(shift + 1) * 64 + (n >> shift) - 64;
	}
	atomic_fetch_add_explicit(&to->buckets[bucket], 1, memory_order_relaxed);
}

/* Nanoseconds in the middle of a bucket. */
static double middle(size_t bucket) {
	if (bucket < 64)
		return (double)bucket;
	return ((double)(bucket % 64 + 64) + 0.5) * exp2((double)(bucket / 64) - 1);
}

/* How many there were; p50, p99 and p99.9 in microseconds; begins anew. */
static int64_t take(struct latencies *from, double found[3]) {
	static int64_t counts[BUCKETS];
	static const double quantiles[3] = {0.5, 0.99, 0.999};
	int64_t total = 0;
	for (size_t i = 0; i < BUCKETS; i++)
		total += counts[i] = atomic_exchange(&from->buckets[i], 0);
	for (int i = 0; i < 3; i++) {
		int64_t rank = (int64_t)ceil(quantiles[i] * (double)total), sum = 0;
		found[i] = 0;
		for (size_t at = 0; at < BUCKETS && sum < rank; at++)
			if ((sum += counts[at]) >= rank)
				found[i] = middle(at) / 1000;
	}
	return total;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
	char why[512];
	if (!value || rd_kafka_conf_set(conf, name, value, why, sizeof why))
		die(name, value ? why : "is not given");
}

static void reported(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
	(void)client, (void)opaque;
	if (message->err)
		die("produce", rd_kafka_err2str(message->err));
	add(&acked, now() - (int64_t)(intptr_t)message->_private);
	atomic_fetch_sub(&flying, 1);
}

static rd_kafka_t *client(rd_kafka_type_t type) {
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char why[512];
	set(conf, "bootstrap.servers", brokers);
	set(conf, "client.id", "load");
	set(conf, "security.protocol", "SASL_SSL");
	/* librdkafka 2.0 of Debian fails SCRAM-SHA-512. */
	set(conf, "sasl.mechanism", "PLAIN");
	set(conf, "ssl.ca.location", ca);
	set(conf, "sasl.username", getenv("KAFKA_USERNAME"));
	set(conf, "sasl.password", getenv("KAFKA_PASSWORD"));
	if (type == RD_KAFKA_CONSUMER) {
		set(conf, "group.id", "librdkafka");
		set(conf, "auto.offset.reset", "latest");
	} else {
		set(conf, "acks", "all");
		set(conf, "linger.ms", "5");
		rd_kafka_conf_set_dr_msg_cb(conf, reported);
	}
	rd_kafka_t *made = rd_kafka_new(type, conf, why, sizeof why);
	if (!made)
		die("rd_kafka_new", why);
	return made;
}

static void produce(char *value, int64_t due) {
	memcpy(value, &due, sizeof due);
	atomic_fetch_add(&offered, 1);
	atomic_fetch_add(&flying, 1);
	for (;;) {
		rd_kafka_resp_err_t error = rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_VALUE(value, size),
		                                              RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		                                              RD_KAFKA_V_OPAQUE((void *)(intptr_t)due), RD_KAFKA_V_END);
		if (!error)
			return;
		if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			die("produce", rd_kafka_err2str(error));
		nap(1000000);
	}
}

/* Offers each message when it is due, in steps of a millisecond; at rate 0 keeps the client's buffer full. */
static void *produces(void *unused) {
	char *value = malloc(size);
	if (!value || size < sizeof(int64_t))
		die("size", "does not do");
	for (size_t i = 0; i < size; i++)
		value[i] = (char)random();
	int64_t running = -1, began = 0, sent = 0;
	for (;;) {
		int64_t wanted = atomic_load(&rate);
		if (wanted != running)
			running = wanted, began = now(), sent = 0;
		if (wanted > 0)
			for (int64_t due = (now() - began) / 1000 * wanted / 1000000; sent < due; sent++)
				produce(value, began + sent * 1000000000 / wanted);
		if (wanted == 0 && atomic_load(&flying) <= IN_FLIGHT)
			for (int i = 0; i < 500; i++)
				produce(value, now());
		else
			nap(wanted == 0 ? 100000 : 1000000);
	}
	return unused;
}

static void *reports(void *unused) {
	for (;;)
		rd_kafka_poll(producer, 100);
	return unused;
}

static void *consumes(void *unused) {
	for (;;) {
		rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 1000);
		if (!message)
			continue;
		if (message->err) {
			fprintf(stderr, "consume: %s\n", rd_kafka_message_errstr(message));
		} else if (message->len >= sizeof(int64_t)) {
			int64_t due;
			memcpy(&due, message->payload, sizeof due);
			add(&consumed, now() - due);
		}
		rd_kafka_message_destroy(message);
	}
	return unused;
}

static void commands(void) {
	char line[256];
	int64_t since = now();
	while (fgets(line, sizeof line, stdin)) {
		int64_t wanted;
		if (sscanf(line, "rate %" SCNd64, &wanted) == 1) {
			atomic_store(&rate, wanted);
			puts("{}");
		} else if (!strcmp(line, "window\n")) {
			double ack[3], end[3];
			double seconds = (double)(now() - since) / 1e9;
			since = now();
			int64_t offers = atomic_exchange(&offered, 0), acks = take(&acked, ack), reads = take(&consumed, end);
			printf("{\"seconds\":%f,\"offered\":%" PRId64 ",\"acked\":%" PRId64 ",\"consumed\":%" PRId64
			       ",\"ack_micros\":[%f,%f,%f],\"end_micros\":[%f,%f,%f]}\n",
			       seconds, offers, acks, reads, ack[0], ack[1], ack[2], end[0], end[1], end[2]);
		} else {
			die("not a command", line);
		}
		fflush(stdout);
	}
}

static void start(void *(*run)(void *)) {
	pthread_t thread;
	if (pthread_create(&thread, NULL, run, NULL))
		die("a thread", "does not start");
}

int main(int count, char **words) {
	for (int i = 1; i + 1 < count; i += 2) {
		if (!strcmp(words[i], "-brokers"))
			brokers = words[i + 1];
		else if (!strcmp(words[i], "-topic"))
			topic = words[i + 1];
		else if (!strcmp(words[i], "-ca"))
			ca = words[i + 1];
		else if (!strcmp(words[i], "-size"))
			size = strtoul(words[i + 1], NULL, 10);
		else
			die("not a flag", words[i]);
	}
	if (!topic)
		die("-topic", "is not given");
	producer = client(RD_KAFKA_PRODUCER);
	consumer = client(RD_KAFKA_CONSUMER);
	rd_kafka_poll_set_consumer(consumer);
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
	rd_kafka_resp_err_t error = rd_kafka_subscribe(consumer, topics);
	if (error)
		die("subscribe", rd_kafka_err2str(error));
	start(produces);
	start(reports);
	start(consumes);
	commands();
	/* The threads end with the process; nothing is left behind but a member, which the broker forgets. */
	_exit(0);
}
