import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.*;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.*;

/** Group member on Apache's own client. Usage: Member PLAN.json. The protocol is in ../README.md. */
class Member implements ConsumerRebalanceListener {
  static final ObjectMapper JSON = new ObjectMapper();
  static final Duration TICK = Duration.ofMillis(50);

  final JsonNode plan;
  final KafkaConsumer<byte[], byte[]> consumer;
  final KafkaProducer<byte[], byte[]> producer;
  /** The offset after the last record that the application was given, of partitions held. */
  final Map<TopicPartition, Long> next = new HashMap<>();
  /** Records that the application was given, ever. */
  final Map<TopicPartition, Long> counts = new HashMap<>();
  int wanted, left;
  boolean paused;

  public static void main(String[] args) throws Exception {
    var member = new Member(JSON.readTree(Files.readString(Path.of(args[0]))));
    var commands = new LinkedBlockingQueue<String>();
    var reader = new Thread(() -> new BufferedReader(new InputStreamReader(System.in)).lines().forEach(commands::add));
    reader.setDaemon(true);
    reader.start();
    member.run(commands, reader);
  }

  Member(JsonNode plan) {
    this.plan = plan;
    var bytes = new ByteArrayDeserializer();
    consumer = text("group").isEmpty() ? null : new KafkaConsumer<>(consuming(), bytes, bytes);
    if (consumer != null) {
      var topics = new ArrayList<String>();
      plan.get("topics").forEach(topic -> topics.add(topic.asText()));
      consumer.subscribe(topics, this);
    }
    producer = text("transactional_id").isEmpty() ? null : new KafkaProducer<>(producing(), new ByteArraySerializer(), new ByteArraySerializer());
    if (producer != null) producer.initTransactions();
  }

  String text(String key) {
    return plan.path(key).asText("");
  }

  Properties connection() {
    var p = new Properties();
    var brokers = new StringJoiner(",");
    plan.get("brokers").forEach(broker -> brokers.add(broker.asText()));
    p.put("bootstrap.servers", brokers.toString());
    p.put("client.id", text("client_id"));
    return p;
  }

  Properties consuming() {
    var p = connection();
    p.put("group.id", text("group"));
    p.put("auto.offset.reset", "earliest");
    p.put("enable.auto.commit", String.valueOf(text("commit").equals("auto")));
    p.put("auto.commit.interval.ms", "1000");
    p.put("max.poll.interval.ms", text("max_poll_interval_ms"));
    // One at a time: what poll returns has been handed over.
    p.put("max.poll.records", "1");
    if (text("commit").equals("auto")) p.put("interceptor.classes", AutoCommits.class.getName());
    if (!text("isolation").isEmpty()) p.put("isolation.level", text("isolation"));
    if (!text("instance_id").isEmpty()) p.put("group.instance.id", text("instance_id"));
    if (text("protocol").equals("consumer")) {
      p.put("group.protocol", "consumer");
      return p;
    }
    p.put("session.timeout.ms", text("session_timeout_ms"));
    p.put("heartbeat.interval.ms", String.valueOf(plan.get("session_timeout_ms").asInt() / 6));
    var assignors = Map.of("range", "Range", "roundrobin", "RoundRobin", "sticky", "Sticky", "cooperative-sticky", "CooperativeSticky");
    if (assignors.containsKey(text("assignor"))) {
      p.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignors.get(text("assignor")) + "Assignor");
    }
    return p;
  }

  Properties producing() {
    var p = connection();
    p.put("transactional.id", text("transactional_id"));
    p.put("transaction.timeout.ms", "30000");
    return p;
  }

  void run(BlockingQueue<String> commands, Thread reader) throws Exception {
    while (true) {
      // While paused, nothing is polled: only the heartbeat thread is alive.
      var line = paused || consumer == null ? commands.poll(100, TimeUnit.MILLISECONDS) : commands.poll();
      boolean ended = line == null && commands.isEmpty() && !reader.isAlive();
      if (ended || "close".equals(line)) {
        if (consumer != null) consumer.close();
        if (producer != null) producer.close();
        tell("closed", Map.of());
        return;
      }
      try {
        if (line != null) obey(line.trim().split(" +"));
        else if (!paused && consumer != null) poll();
      } catch (Exception e) {
        tell("error", Map.of("command", line == null ? "" : line, "error", name(e)));
      }
    }
  }

  void poll() {
    for (var record : consumer.poll(TICK)) {
      var place = new TopicPartition(record.topic(), record.partition());
      counts.merge(place, 1L, Long::sum);
      next.put(place, record.offset() + 1);
      if (--left == 0) {
        rest();
        tell("consumed", Map.of("n", wanted, "offsets", flat(next), "counts", flat(counts)));
      }
    }
  }

  /** Partitions are paused while no record is wanted: poll would hand them out. */
  void rest() {
    consumer.pause(consumer.assignment());
  }

  void obey(String[] words) throws Exception {
    switch (words[0]) {
      case "consume":
        wanted = left = Integer.parseInt(words[1]);
        paused = false;
        consumer.resume(consumer.paused());
        return;
      case "stop":
        rest();
        int n = wanted - left;
        wanted = left = 0;
        tell("consumed", Map.of("n", n, "offsets", flat(next), "counts", flat(counts)));
        return;
      case "pause":
      case "poll":
        paused = words[0].equals("pause");
        tell(words[0], Map.of());
        return;
      case "commit":
        var offsets = flat(next);
        tell("committed", outcome(() -> { if (!next.isEmpty()) consumer.commitSync(wire()); }, "offsets", offsets, "auto", false));
        return;
      case "begin":
        tell("begin", outcome(producer::beginTransaction));
        return;
      case "produce":
        tell("produce", outcome(() -> produce(Integer.parseInt(words[1])), "n", Integer.parseInt(words[1])));
        return;
      case "send_offsets":
        tell("send_offsets", outcome(() -> producer.sendOffsetsToTransaction(wire(), consumer.groupMetadata()), "offsets", flat(next)));
        return;
      case "end":
        var end = words[1].equals("commit");
        tell("end", outcome(() -> { if (end) producer.commitTransaction(); else producer.abortTransaction(); }, "how", words[1]));
        return;
      default:
        throw new IllegalArgumentException("unknown command");
    }
  }

  void produce(int n) throws Exception {
    var sent = new ArrayList<Future<RecordMetadata>>();
    for (int i = 0; i < n; i++) {
      // Ten keys in all, so that compaction has something to remove.
      var key = ("k" + i % 10).getBytes();
      var record = new ProducerRecord<>(text("out_topic"), i % plan.get("out_partitions").asInt(), key, new byte[] {'x'});
      sent.add(producer.send(record));
    }
    producer.flush();
    for (var one : sent) one.get();
  }

  Map<TopicPartition, OffsetAndMetadata> wire() {
    var out = new HashMap<TopicPartition, OffsetAndMetadata>();
    next.forEach((place, offset) -> out.put(place, new OffsetAndMetadata(offset)));
    return out;
  }

  @Override
  public void onPartitionsAssigned(Collection<TopicPartition> places) {
    if (left <= 0) consumer.pause(places);
    tell("assigned", Map.of("partitions", list(places)));
  }

  @Override
  public void onPartitionsRevoked(Collection<TopicPartition> places) {
    next.keySet().removeAll(places);
    tell("revoked", Map.of("partitions", list(places)));
  }

  @Override
  public void onPartitionsLost(Collection<TopicPartition> places) {
    next.keySet().removeAll(places);
    tell("lost", Map.of("partitions", list(places)));
  }

  /** Commits that the consumer makes by itself have no other callback. */
  public static class AutoCommits implements ConsumerInterceptor<byte[], byte[]> {
    @Override
    public ConsumerRecords<byte[], byte[]> onConsume(ConsumerRecords<byte[], byte[]> records) {
      return records;
    }

    @Override
    public void onCommit(Map<TopicPartition, OffsetAndMetadata> offsets) {
      var plain = new HashMap<TopicPartition, Long>();
      offsets.forEach((place, offset) -> plain.put(place, offset.offset()));
      tell("committed", Map.of("ok", true, "error", "", "offsets", flat(plain), "auto", true));
    }

    @Override
    public void close() {}

    @Override
    public void configure(Map<String, ?> configs) {}
  }

  interface Action {
    void run() throws Exception;
  }

  static Map<String, Object> outcome(Action action, Object... more) {
    var event = new LinkedHashMap<String, Object>();
    String error = "";
    try {
      action.run();
    } catch (Exception e) {
      error = name(e);
    }
    event.put("ok", error.isEmpty());
    event.put("error", error);
    for (int i = 0; i < more.length; i += 2) event.put(String.valueOf(more[i]), more[i + 1]);
    return event;
  }

  /** Kafka's own name where it has one. */
  static String name(Throwable e) {
    for (var cause = e; cause != null; cause = cause.getCause()) {
      if (cause instanceof ApiException api && Errors.forException(api) != Errors.UNKNOWN_SERVER_ERROR) return Errors.forException(api).name();
    }
    return String.valueOf(e).replace('\n', ' ');
  }

  static List<List<Object>> list(Collection<TopicPartition> places) {
    var out = new ArrayList<List<Object>>();
    sorted(places).forEach(p -> out.add(List.of(p.topic(), p.partition())));
    return out;
  }

  static List<List<Object>> flat(Map<TopicPartition, Long> values) {
    var out = new ArrayList<List<Object>>();
    sorted(values.keySet()).forEach(p -> out.add(List.of(p.topic(), p.partition(), values.get(p))));
    return out;
  }

  static List<TopicPartition> sorted(Collection<TopicPartition> places) {
    var out = new ArrayList<>(places);
    out.sort(Comparator.comparing(TopicPartition::topic).thenComparingInt(TopicPartition::partition));
    return out;
  }

  static synchronized void tell(String event, Map<String, Object> more) {
    var line = new LinkedHashMap<String, Object>();
    line.put("event", event);
    line.putAll(more);
    try {
      System.out.println(JSON.writeValueAsString(line));
    } catch (IOException e) {
      System.err.println(e);
    }
  }
}
