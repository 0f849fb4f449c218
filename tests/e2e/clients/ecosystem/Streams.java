import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.*;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.*;
import org.apache.kafka.streams.state.Stores;

/** Counts words, of which each record is one. Usage: Streams PLAN.json. Its commands are in README.md. */
class Streams {
  static final ObjectMapper JSON = new ObjectMapper();
  /** As many words as this. */
  static final int WORDS = 20;

  public static void main(String[] args) throws Exception {
    var plan = JSON.readTree(Files.readString(Path.of(args[0])));
    var in = new BufferedReader(new InputStreamReader(System.in));
    try (var streams = new KafkaStreams(topology(plan), properties(plan))) {
      streams.start();
      for (String line; (line = in.readLine()) != null && !line.equals("close"); ) {
        System.out.println(JSON.writeValueAsString(state(streams)));
      }
    }
    System.out.println("{}");
  }

  static Properties properties(JsonNode plan) {
    var p = new Properties();
    p.put("bootstrap.servers", plan.get("brokers").asText());
    p.put("application.id", plan.get("group").asText());
    p.put("client.id", plan.get("client_id").asText());
    p.put("group.protocol", plan.get("protocol").asText());
    p.put("processing.guarantee", plan.get("guarantee").asText());
    p.put("state.dir", plan.get("state").asText());
    p.put("num.stream.threads", 2);
    p.put("commit.interval.ms", 500);
    p.put("repartition.purge.interval.ms", 1000);
    // Streams does not leave a classic group: those who come after it wait for its session to end.
    if (plan.get("protocol").asText().equals("classic")) {
      p.put("session.timeout.ms", 6000);
      p.put("heartbeat.interval.ms", 2000);
    }
    // Each record goes all the way.
    p.put("statestore.cache.max.bytes", 0);
    p.put("replication.factor", 1);
    return p;
  }

  static Topology topology(JsonNode plan) {
    var builder = new StreamsBuilder();
    var bytes = Serdes.ByteArray();
    var counts = builder.stream(plan.get("input").asText(), Consumed.with(bytes, bytes))
        .groupBy((key, value) -> "word-" + Math.floorMod(Arrays.hashCode(value), WORDS), Grouped.with("words", Serdes.String(), bytes))
        .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("counts")).withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()));
    counts.toStream().to(plan.get("output").asText(), Produced.with(Serdes.String(), Serdes.Long()));
    return builder.build();
  }

  static Map<String, Object> state(KafkaStreams streams) {
    var sent = new TreeMap<String, Long>();
    var consumed = new TreeMap<String, Long>();
    long rebalances = 0;
    for (var metric : streams.metrics().values()) {
      var name = metric.metricName();
      var topic = name.tags().get("topic");
      boolean ofTopic = topic != null && !name.tags().containsKey("partition");
      if (ofTopic && name.group().equals("producer-topic-metrics") && name.name().equals("record-send-total")) {
        sent.merge(topic, ((Double) metric.metricValue()).longValue(), Long::sum);
      } else if (ofTopic && name.group().equals("consumer-fetch-manager-metrics") && name.name().equals("records-consumed-total")) {
        consumed.merge(topic, ((Double) metric.metricValue()).longValue(), Long::sum);
      } else if (name.group().equals("consumer-coordinator-metrics") && name.name().equals("rebalance-total")) {
        rebalances += ((Double) metric.metricValue()).longValue();
      }
    }
    var answer = new LinkedHashMap<String, Object>();
    answer.put("state", streams.state().toString());
    answer.put("sent", sent);
    answer.put("consumed", consumed);
    answer.put("rebalances", rebalances);
    return answer;
  }
}
