import java.io.*;
import java.util.*;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.TopicPartition;

/**
 * Answers questions about a cluster, one line each: "ok ANSWER" or "error WHY". Ends with its input.
 *
 * <p>create TOPIC PARTITIONS REPLICAS: the topic's id | delete TOPIC | ends TOPIC: P=OFFSET ... | leaders TOPIC: P=NODE ...
 */
class Admin {
  public static void main(String[] args) throws Exception {
    var in = new BufferedReader(new InputStreamReader(System.in));
    try (var admin = org.apache.kafka.clients.admin.Admin.create(Map.of("bootstrap.servers", args[0]))) {
      for (String line; (line = in.readLine()) != null; ) {
        String answer;
        try {
          answer = "ok " + answer(admin, line.split(" "));
        } catch (ExecutionException e) {
          answer = "error " + String.valueOf(e.getCause()).replace('\n', ' ');
        } catch (RuntimeException e) {
          answer = "error " + String.valueOf(e).replace('\n', ' ');
        }
        System.out.println(answer.strip());
        System.out.flush();
      }
    }
  }

  static String answer(org.apache.kafka.clients.admin.Admin admin, String[] words) throws Exception {
    var topic = words[1];
    switch (words[0]) {
      case "create": {
        var wanted = new NewTopic(topic, Integer.parseInt(words[2]), Short.parseShort(words[3]));
        var id = admin.createTopics(List.of(wanted)).topicId(topic).get();
        // A topic is of use once its leaders are known.
        for (int tries = 0; tries < 200 && !led(admin, topic, wanted.numPartitions()); tries++) Thread.sleep(25);
        return id.toString();
      }
      case "delete":
        admin.deleteTopics(List.of(topic)).all().get();
        return "";
      case "ends": {
        var asked = new HashMap<TopicPartition, OffsetSpec>();
        for (var p : describe(admin, topic).partitions()) asked.put(new TopicPartition(topic, p.partition()), OffsetSpec.latest());
        var out = new StringJoiner(" ");
        for (var e : admin.listOffsets(asked).all().get().entrySet()) out.add(e.getKey().partition() + "=" + e.getValue().offset());
        return out.toString();
      }
      case "leaders": {
        var out = new StringJoiner(" ");
        for (var p : describe(admin, topic).partitions()) out.add(p.partition() + "=" + p.leader().id());
        return out.toString();
      }
      default:
        throw new IllegalArgumentException("unknown command " + words[0]);
    }
  }

  static TopicDescription describe(org.apache.kafka.clients.admin.Admin admin, String topic) throws Exception {
    return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
  }

  static boolean led(org.apache.kafka.clients.admin.Admin admin, String topic, int partitions) throws Exception {
    try {
      var found = describe(admin, topic).partitions();
      return found.size() == partitions && found.stream().allMatch(p -> p.leader() != null && !p.leader().isEmpty());
    } catch (ExecutionException e) {
      return false;
    }
  }
}
