import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member that writes down when it worked on what. Usage: Work PLAN.json. It is described in README.md. */
class Work {
  /** The last messages are never committed. */
  static final int LEFT = 60;

  public static void main(String[] args) throws Exception {
    var plan = new ObjectMapper().readTree(Files.readString(Path.of(args[0])));
    int records = plan.get("records").asInt();
    boolean sync = plan.get("commit").asText().equals("sync");
    var bytes = new ByteArrayDeserializer();
    var consumer = new KafkaConsumer<>(properties(plan, sync), bytes, bytes);
    consumer.subscribe(List.of(plan.get("topic").asText()));
    var truth = new ArrayList<String>();
    while (truth.size() < records) {
      var polled = consumer.poll(Duration.ofMillis(100));
      long got = System.nanoTime();
      var lines = new ArrayList<String>();
      for (var record : polled) {
        Thread.sleep(plan.get("pause_ms").asLong());
        lines.add("{\"partition\":%d,\"offset\":%d,\"got\":%d,\"worked\":%d".formatted(record.partition(), record.offset(), got, System.nanoTime()));
      }
      long called = 0, settled = 0;
      if (sync && !lines.isEmpty() && truth.size() + lines.size() <= records - LEFT) {
        called = System.nanoTime();
        consumer.commitSync();
        settled = System.nanoTime();
      }
      for (var line : lines) truth.add("%s,\"called\":%d,\"settled\":%d}".formatted(line, called, settled));
    }
    Files.write(Path.of(plan.get("truth").asText()), truth);
    Runtime.getRuntime().halt(0);
  }

  static Properties properties(JsonNode plan, boolean sync) {
    var p = new Properties();
    p.put("bootstrap.servers", plan.get("brokers").asText());
    p.put("client.id", plan.get("client_id").asText());
    p.put("group.id", plan.get("group").asText());
    p.put("auto.offset.reset", "earliest");
    p.put("enable.auto.commit", String.valueOf(!sync));
    p.put("auto.commit.interval.ms", "1000");
    p.put("max.poll.records", "20");
    return p;
  }
}
