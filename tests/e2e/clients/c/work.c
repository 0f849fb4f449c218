/* Processes messages with librdkafka, and writes down what nobody else can know: the plan and the truth are those of
 * tests/e2e/clients/go/processing/README.md; instead of a goroutine the truth names the thread.
 *
 * Patterns: simple one message, one commit, freed at last; auto each freed, the library commits; polled a commit for each batch; events messages
 * inside events, done when their event is given back, a producer's reports polled meanwhile; transaction results and offsets in one; callback a
 * function is called with each message of a queue; consume_cb the same by the configuration of the consumer. */
#define _GNU_SOURCE
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* By so many reports that were waited for it is known that messages have some. */
enum { MOST = 50, FIRST = 10 };

struct told {
	char topic[128], context[64];
	int partition;
	long long offset, asked, began, worked, ended, settled;
	/* The record produced for it. */
	int sent_partition;
	long long sent_offset;
};

static char plan[8192];
static char topic[128], letters[128], pattern[32];
static FILE *truth;
static int left, pause_us;
/* Those whose results' places come later, in the patterns events and transaction. */
static struct told *results;
static int kept;
static rd_kafka_t *consumer, *producer;

static void die(const char *what, const char *why) {
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static void good(const char *what, rd_kafka_resp_err_t error) {
	if (error)
		die(what, rd_kafka_err2str(error));
}

static void fine(const char *what, rd_kafka_error_t *error) {
	if (error)
		die(what, rd_kafka_error_string(error));
}

static long long now(void) {
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* A member of the plan as text: what stands between its quotes, of a list all of it without quotes. */
static const char *member(const char *name, char *to, size_t room) {
	char key[64];
	snprintf(key, sizeof key, "\"%s\":", name);
	const char *at = strstr(plan, key);
	if (!at)
		die("the plan has no", name);
	at += strlen(key);
	const char *ends = *at == '[' ? "]" : *at == '"' ? "\"" : ",}";
	if (*at == '[' || *at == '"')
		at++;
	size_t n = 0;
	for (; *at && !strchr(ends, *at) && n + 1 < room; at++)
		if (*at != '"')
			to[n++] = *at;
	to[n] = 0;
	return to;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
	char why[512];
	if (rd_kafka_conf_set(conf, name, value, why, sizeof why))
		die(name, why);
}

static void called(rd_kafka_message_t *message, void *opaque);

/* A record produced for the message of this number is in its place. */
static void placed(const rd_kafka_message_t *message) {
	struct told *told = &results[(size_t)message->_private - 1];
	good("a result", message->err);
	told->sent_partition = message->partition;
	told->sent_offset = message->offset;
}

static void report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
	(void)client, (void)opaque;
	placed(message);
}

static rd_kafka_t *client(rd_kafka_type_t type) {
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char value[1024], why[512];
	set(conf, "bootstrap.servers", member("brokers", value, sizeof value));
	set(conf, "client.id", member("client_id", value, sizeof value));
	set(conf, "security.protocol", "SASL_SSL");
	set(conf, "sasl.mechanism", "PLAIN");
	set(conf, "ssl.ca.location", member("ca", value, sizeof value));
	set(conf, "sasl.username", member("user", value, sizeof value));
	set(conf, "sasl.password", member("password", value, sizeof value));
	if (type == RD_KAFKA_CONSUMER) {
		if (!strcmp(pattern, "consume_cb"))
			rd_kafka_conf_set_consume_cb(conf, called);
		set(conf, "group.id", member("group", value, sizeof value));
		set(conf, "auto.offset.reset", "earliest");
		set(conf, "enable.auto.commit", strcmp(pattern, "auto") ? "false" : "true");
	} else {
		if (!strcmp(pattern, "events"))
			rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
		if (!strcmp(pattern, "transaction")) {
			rd_kafka_conf_set_dr_msg_cb(conf, report);
			set(conf, "transactional.id", member("client_id", value, sizeof value));
		}
	}
	rd_kafka_t *made = rd_kafka_new(type, conf, why, sizeof why);
	if (!made)
		die("rd_kafka_new", why);
	return made;
}

static struct told hand(const rd_kafka_message_t *message, long long asked) {
	struct told told = {.asked = asked, .began = now()};
	good("a message", message->err);
	snprintf(told.topic, sizeof told.topic, "%s", rd_kafka_topic_name(message->rkt));
	told.partition = message->partition;
	told.offset = message->offset;
	rd_kafka_headers_t *headers;
	const void *value;
	size_t size;
	if (!rd_kafka_message_headers(message, &headers) && !rd_kafka_header_get_last(headers, "traceparent", &value, &size))
		snprintf(told.context, sizeof told.context, "%.*s", (int)size, (const char *)value);
	return told;
}

static void work(struct told *told) {
	told->worked = now();
	usleep(pause_us * (1 + told->offset % 3));
}

static void put_down(const struct told *told, const char *sent) {
	fprintf(truth,
	        "{\"topic\":\"%s\",\"partition\":%d,\"offset\":%lld,\"context\":\"%s\",\"thread\":%d,\"asked\":%lld,\"began\":%lld,"
	        "\"worked\":%lld,\"ended\":%lld,\"settled\":%lld,\"failed\":false,\"sent\":%s}\n",
	        told->topic, told->partition, told->offset, told->context, (int)gettid(), told->asked, told->began, told->worked,
	        told->ended, told->settled, sent);
}

static void done(struct told *told, long long ended, long long settled) {
	told->ended = ended;
	told->settled = settled;
	left--;
	if (!results) {
		put_down(told, "null");
		return;
	}
	/* Its result may have been placed before. */
	told->sent_partition = results[kept].sent_partition;
	told->sent_offset = results[kept].sent_offset;
	results[kept++] = *told;
}

static void put_down_results(void) {
	char sent[256];
	for (int i = 0; i < kept; i++) {
		snprintf(sent, sizeof sent, "{\"topic\":\"%s\",\"partition\":%d,\"offset\":%lld}", letters, results[i].sent_partition,
		         results[i].sent_offset);
		put_down(&results[i], sent);
	}
}

/* In parts, of which the topic is the last. */
static void produce(const rd_kafka_message_t *of) {
	good("produce", rd_kafka_producev(producer, RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(of->payload, of->len),
	                                  RD_KAFKA_V_KEY(of->key, of->key_len), RD_KAFKA_V_PARTITION(RD_KAFKA_PARTITION_UA),
	                                  RD_KAFKA_V_OPAQUE((void *)(size_t)(kept + 1)), RD_KAFKA_V_TOPIC(letters), RD_KAFKA_V_END));
}

static void simple(void) {
	while (left > 0) {
		long long asked = now();
		rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 1000);
		if (!message)
			continue;
		struct told told = hand(message, asked);
		work(&told);
		long long ended = now();
		good("commit", rd_kafka_commit_message(consumer, message, 0));
		done(&told, ended, now());
		rd_kafka_message_destroy(message);
	}
}

static void automatic(void) {
	while (left > 0) {
		long long asked = now();
		rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 1000);
		if (!message)
			continue;
		struct told told = hand(message, asked);
		work(&told);
		long long ended = now();
		rd_kafka_message_destroy(message);
		done(&told, ended, now());
	}
}

static void polled(void) {
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
	while (left > 0) {
		rd_kafka_message_t *messages[MOST];
		struct told told[MOST];
		long long asked = now();
		ssize_t count = rd_kafka_consume_batch_queue(queue, 1000, messages, MOST);
		rd_kafka_topic_partition_list_t *behind = rd_kafka_topic_partition_list_new(1);
		for (ssize_t i = 0; i < count; i++)
			told[i] = hand(messages[i], asked);
		for (ssize_t i = 0; i < count; i++) {
			work(&told[i]);
			rd_kafka_topic_partition_t *place = rd_kafka_topic_partition_list_find(behind, topic, told[i].partition);
			if (!place)
				place = rd_kafka_topic_partition_list_add(behind, topic, told[i].partition);
			place->offset = told[i].offset + 1;
		}
		long long ended = now();
		if (count > 0)
			good("commit", rd_kafka_commit(consumer, behind, 0));
		long long settled = now();
		for (ssize_t i = 0; i < count; i++) {
			done(&told[i], ended, settled);
			rd_kafka_message_destroy(messages[i]);
		}
		rd_kafka_topic_partition_list_destroy(behind);
	}
	rd_kafka_queue_destroy(queue);
}

static void reports(rd_kafka_queue_t *queue, int wait_ms) {
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, wait_ms);
	const rd_kafka_message_t *message;
	while (event && (message = rd_kafka_event_message_next(event)))
		placed(message);
	if (event)
		rd_kafka_event_destroy(event);
}

static void events(void) {
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer), *reported = rd_kafka_queue_get_main(producer);
	while (left > 0) {
		long long asked = now();
		rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 1000);
		const rd_kafka_message_t *message =
		    event && rd_kafka_event_type(event) == RD_KAFKA_EVENT_FETCH ? rd_kafka_event_message_next(event) : NULL;
		if (message) {
			struct told told = hand(message, asked);
			produce(message);
			do
				reports(reported, kept < FIRST ? 100 : 0);
			while (kept < FIRST && rd_kafka_outq_len(producer) > 0);
			work(&told);
			reports(reported, 0);
			long long ended = now();
			rd_kafka_event_destroy(event);
			done(&told, ended, now());
		} else if (event) {
			rd_kafka_event_destroy(event);
		}
	}
	while (rd_kafka_outq_len(producer) > 0)
		reports(reported, 100);
	rd_kafka_queue_destroy(queue);
	rd_kafka_queue_destroy(reported);
}

static void transactions(void) {
	fine("init", rd_kafka_init_transactions(producer, 30000));
	while (left > 0) {
		long long asked = now();
		rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer, 1000);
		if (!message)
			continue;
		struct told told = hand(message, asked);
		fine("begin", rd_kafka_begin_transaction(producer));
		work(&told);
		produce(message);
		rd_kafka_topic_partition_list_t *behind = rd_kafka_topic_partition_list_new(1);
		rd_kafka_topic_partition_list_add(behind, topic, told.partition)->offset = told.offset + 1;
		rd_kafka_consumer_group_metadata_t *member = rd_kafka_consumer_group_metadata(consumer);
		long long ended = now();
		fine("offsets", rd_kafka_send_offsets_to_transaction(producer, behind, member, 30000));
		long long settled = now();
		fine("commit", rd_kafka_commit_transaction(producer, 30000));
		done(&told, ended, settled);
		rd_kafka_consumer_group_metadata_destroy(member);
		rd_kafka_topic_partition_list_destroy(behind);
		rd_kafka_message_destroy(message);
	}
}

/* When it asked last; and the message before, until it is known when its function had returned. */
static long long asked_at, ended_at;
static struct told before;

static void returned(void) {
	if (ended_at)
		done(&before, ended_at, now());
	ended_at = 0;
}

static void called(rd_kafka_message_t *message, void *opaque) {
	(void)opaque;
	returned();
	before = hand(message, asked_at);
	work(&before);
	ended_at = now();
}

static void callbacks(void) {
	rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
	while (left > 0) {
		asked_at = now();
		if (rd_kafka_consume_callback_queue(queue, 1000, called, NULL) < 0)
			die("rd_kafka_consume_callback_queue", rd_kafka_err2str(rd_kafka_last_error()));
		returned();
	}
	rd_kafka_queue_destroy(queue);
}

static void consume_cb(void) {
	while (left > 0) {
		asked_at = now();
		rd_kafka_poll(consumer, 1000);
		returned();
	}
}

int main(int count, char **words) {
	char value[1024];
	FILE *file = count > 1 ? fopen(words[1], "r") : NULL;
	if (!file || !fread(plan, 1, sizeof plan - 1, file))
		die("work", "there is no plan");
	fclose(file);
	member("topic", topic, sizeof topic);
	member("dead_letters", letters, sizeof letters);
	member("pattern", pattern, sizeof pattern);
	left = atoi(member("records", value, sizeof value));
	pause_us = atoi(member("pause", value, sizeof value));
	truth = fopen(member("truth", value, sizeof value), "w");
	if (!truth)
		die("truth", value);
	if (!fgets(value, sizeof value, stdin))
		die("work", "nobody said go");
	if (!strcmp(pattern, "events") || !strcmp(pattern, "transaction"))
		results = calloc(left, sizeof *results);
	consumer = client(RD_KAFKA_CONSUMER);
	producer = client(RD_KAFKA_PRODUCER);
	rd_kafka_poll_set_consumer(consumer);
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
	good("subscribe", rd_kafka_subscribe(consumer, topics));
	rd_kafka_topic_partition_list_destroy(topics);
	if (!strcmp(pattern, "simple"))
		simple();
	else if (!strcmp(pattern, "auto"))
		automatic();
	else if (!strcmp(pattern, "polled"))
		polled();
	else if (!strcmp(pattern, "events"))
		events();
	else if (!strcmp(pattern, "transaction"))
		transactions();
	else if (!strcmp(pattern, "callback"))
		callbacks();
	else if (!strcmp(pattern, "consume_cb"))
		consume_cb();
	else
		die("there is no pattern", pattern);
	rd_kafka_consumer_close(consumer);
	rd_kafka_destroy(consumer);
	rd_kafka_destroy(producer);
	put_down_results();
	return fclose(truth) ? 1 : 0;
}
