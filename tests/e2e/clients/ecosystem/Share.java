import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.*;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a share group. Usage: Share PLAN.json. Its commands are in README.md. */
class Share {
  static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] args) throws Exception {
    var plan = JSON.readTree(Files.readString(Path.of(args[0])));
    var commands = new LinkedBlockingQueue<String>();
    var reader = new Thread(() -> {
      new BufferedReader(new InputStreamReader(System.in)).lines().forEach(commands::add);
      commands.add("close");
    });
    reader.setDaemon(true);
    reader.start();
    var bytes = new ByteArrayDeserializer();
    try (var consumer = new KafkaShareConsumer<>(properties(plan), bytes, bytes)) {
      consumer.subscribe(List.of(plan.get("topic").asText()));
      run(consumer, commands);
    }
    System.out.println("{}");
  }

  static Properties properties(JsonNode plan) {
    var p = new Properties();
    p.put("bootstrap.servers", plan.get("brokers").asText());
    p.put("client.id", plan.get("client_id").asText());
    p.put("group.id", plan.get("group").asText());
    p.put("share.acknowledgement.mode", "explicit");
    return p;
  }

  static void run(KafkaShareConsumer<byte[], byte[]> consumer, Queue<String> commands) throws IOException {
    var counts = new TreeMap<TopicPartition, Long>(Comparator.comparing(TopicPartition::topic).thenComparingInt(TopicPartition::partition));
    var figures = new TreeMap<String, Long>(Map.of("redelivered", 0L, "released", 0L, "rejected", 0L, "accepted", 0L));
    while (true) {
      // What was acknowledged goes out with the next poll.
      for (var record : consumer.poll(Duration.ofMillis(100))) {
        counts.merge(new TopicPartition(record.topic(), record.partition()), 1L, Long::sum);
        boolean again = record.deliveryCount().orElse((short) 1) > 1;
        if (again) figures.merge("redelivered", 1L, Long::sum);
        if (record.offset() % 10 == 3 && !again) {
          consumer.acknowledge(record, AcknowledgeType.RELEASE);
          figures.merge("released", 1L, Long::sum);
        } else if (record.offset() % 10 == 7) {
          consumer.acknowledge(record, AcknowledgeType.REJECT);
          figures.merge("rejected", 1L, Long::sum);
        } else {
          consumer.acknowledge(record, AcknowledgeType.ACCEPT);
          figures.merge("accepted", 1L, Long::sum);
        }
      }
      var command = commands.poll();
      if ("close".equals(command)) return;
      if (command == null) continue;
      var answer = new LinkedHashMap<String, Object>(figures);
      var records = new ArrayList<List<Object>>();
      counts.forEach((p, n) -> records.add(List.of(p.topic(), p.partition(), n)));
      answer.put("records", records);
      System.out.println(JSON.writeValueAsString(answer));
    }
  }
}
