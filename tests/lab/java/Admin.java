import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Answers questions about a cluster, one line each: "ok ANSWER" or "error WHY". Ends with its input. Its argument is a file of
 * client properties: it logs in over TLS, whose Java plaintext the agent cannot see, so that the agent learns nothing from it.
 *
 * <p>create TOPIC PARTITIONS REPLICAS [KEY=VALUE ...]: the topic's id | delete TOPIC | ends TOPIC: P=OFFSET ... | leaders TOPIC: P=NODE ...
 *
 * <p>records TOPIC: P=COUNT ..., what read_uncommitted is given of it | from-the-start GROUP: a share group begins there
 * | ended PREFIX: 4=COMMITTED 5=ABORTED of transactions whose id begins so
 *
 * <p>tour TOPIC GROUP: how many of an administrator's questions were answered; both are deleted
 *
 * <p>As JSON: offsets GROUP | members GROUP | state GROUP | transactions | described share|streams|classic GROUP | commits GROUP: offsets
 * of any kind of group
 */
class Admin {
  static final ObjectMapper JSON = new ObjectMapper();
  static final Comparator<TopicPartition> BY_PLACE = Comparator.comparing(TopicPartition::topic).thenComparingInt(TopicPartition::partition);
  static final Properties PROPERTIES = new Properties();

  public static void main(String[] args) throws Exception {
    var in = new BufferedReader(new InputStreamReader(System.in));
    try (var file = new FileReader(args[0])) {
      PROPERTIES.load(file);
    }
    try (var admin = org.apache.kafka.clients.admin.Admin.create(PROPERTIES)) {
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
    switch (words[0]) {
      case "create":
        return create(admin, words);
      case "delete":
        admin.deleteTopics(List.of(words[1])).all().get();
        return "";
      case "ends": {
        var asked = new HashMap<TopicPartition, OffsetSpec>();
        for (var p : describe(admin, words[1]).partitions()) asked.put(new TopicPartition(words[1], p.partition()), OffsetSpec.latest());
        var out = new StringJoiner(" ");
        for (var e : admin.listOffsets(asked).all().get().entrySet()) out.add(e.getKey().partition() + "=" + e.getValue().offset());
        return out.toString();
      }
      case "leaders": {
        var out = new StringJoiner(" ");
        for (var p : describe(admin, words[1]).partitions()) out.add(p.partition() + "=" + p.leader().id());
        return out.toString();
      }
      case "offsets":
        return JSON.writeValueAsString(offsets(admin, words[1]));
      case "members":
        return JSON.writeValueAsString(members(group(admin, words[1])));
      case "state":
        return JSON.writeValueAsString(state(group(admin, words[1])));
      case "records":
        return records(admin, words[1]);
      case "from-the-start":
        fromTheStart(admin, words[1]);
        return "";
      case "described":
        return JSON.writeValueAsString(described(admin, words[1], words[2]));
      case "commits":
        return JSON.writeValueAsString(rows(admin, words[1], new TreeMap<>(BY_PLACE)));
      case "ended":
        return ended(words[1]);
      case "tour":
        return tour(admin, words[1], words[2]);
      case "transactions":
        return JSON.writeValueAsString(transactions(admin));
      default:
        throw new IllegalArgumentException("unknown command " + words[0]);
    }
  }

  /**
   * Asks all that an administrator can ask about a topic and a group without members, and takes both away in the end. What this broker
   * does not know, or refuses, is passed by.
   */
  static String tour(org.apache.kafka.clients.admin.Admin admin, String topic, String group) throws Exception {
    var first = new TopicPartition(topic, 0);
    List<java.util.concurrent.Callable<Object>> calls =
        List.of(
            () -> admin.describeCluster().nodes().get(),
            () -> admin.listTopics(new ListTopicsOptions().listInternal(true)).names().get(),
            () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(describe(admin, topic).partitions().size() + 1))).all().get(),
            () -> admin.listOffsets(Map.of(first, OffsetSpec.maxTimestamp())).all().get(),
            () -> admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(1))).all().get(),
            () -> admin.describeProducers(List.of(first)).all().get(),
            () -> admin.describeTransactions(admin.listTransactions().all().get().stream().map(TransactionListing::transactionalId).toList()).all().get(),
            () -> admin.listGroups().all().get(),
            () -> admin.describeConsumerGroups(List.of(group)).all().get(),
            () -> admin.describeClassicGroups(List.of(group)).all().get(),
            () -> admin.describeShareGroups(List.of(group)).all().get(),
            () -> admin.describeStreamsGroups(List.of(group)).all().get(),
            () -> admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(),
            () -> admin.listShareGroupOffsets(Map.of(group, new ListShareGroupOffsetsSpec())).all().get(),
            () -> admin.deleteConsumerGroupOffsets(group, Set.of(first)).all().get(),
            () -> admin.deleteConsumerGroups(List.of(group)).all().get(),
            () -> admin.deleteTopics(List.of(topic)).all().get());
    int answered = 0;
    for (var call : calls) {
      try {
        call.call();
        answered++;
      } catch (ExecutionException | org.apache.kafka.common.errors.ApiException e) {
        System.err.println(e);
      }
    }
    return String.valueOf(answered);
  }

  static String create(org.apache.kafka.clients.admin.Admin admin, String[] words) throws Exception {
    var topic = words[1];
    var configs = new HashMap<String, String>();
    for (int i = 4; i < words.length; i++) configs.put(words[i].split("=", 2)[0], words[i].split("=", 2)[1]);
    var wanted = new NewTopic(topic, Integer.parseInt(words[2]), Short.parseShort(words[3])).configs(configs);
    var id = admin.createTopics(List.of(wanted)).topicId(topic).get();
    // A topic is of use once its leaders are known.
    for (int tries = 0; tries < 200 && !led(admin, topic, wanted.numPartitions()); tries++) Thread.sleep(25);
    return id.toString();
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

  static ConsumerGroupDescription group(org.apache.kafka.clients.admin.Admin admin, String group) throws Exception {
    return admin.describeConsumerGroups(List.of(group)).all().get().get(group);
  }

  /**
   * What kafka-consumer-groups prints: every partition that has a committed offset or a member; the end is ListOffsets latest under
   * read_uncommitted, the lag the difference, and both commit and lag are null where nothing is committed.
   */
  static List<Map<String, Object>> offsets(org.apache.kafka.clients.admin.Admin admin, String group) throws Exception {
    var held = new TreeMap<TopicPartition, Long>(BY_PLACE);
    for (var member : group(admin, group).members()) for (var p : member.assignment().topicPartitions()) held.put(p, null);
    return rows(admin, group, held);
  }

  static List<Map<String, Object>> rows(org.apache.kafka.clients.admin.Admin admin, String group, Map<TopicPartition, Long> committed) throws Exception {
    admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().forEach((p, o) -> committed.put(p, o == null ? null : (Long) o.offset()));
    var asked = new HashMap<TopicPartition, OffsetSpec>();
    for (var p : committed.keySet()) asked.put(p, OffsetSpec.latest());
    var ends = admin.listOffsets(asked).all().get();
    var out = new ArrayList<Map<String, Object>>();
    committed.forEach((p, offset) -> {
      var row = new LinkedHashMap<String, Object>();
      long end = ends.get(p).offset();
      row.put("topic", p.topic());
      row.put("partition", p.partition());
      row.put("committed", offset);
      row.put("end", end);
      row.put("lag", offset == null ? null : (Long) (end - offset));
      out.add(row);
    });
    return out;
  }

  static List<Map<String, Object>> members(ConsumerGroupDescription group) {
    var out = new ArrayList<Map<String, Object>>();
    for (var member : group.members()) {
      var row = new LinkedHashMap<String, Object>();
      row.put("member_id", member.consumerId());
      row.put("instance_id", member.groupInstanceId().orElse(null));
      row.put("client_id", member.clientId());
      row.put("host", member.host());
      var assignment = new ArrayList<List<Object>>();
      for (var p : member.assignment().topicPartitions()) assignment.add(List.of(p.topic(), p.partition()));
      row.put("assignment", assignment);
      out.add(row);
    }
    return out;
  }

  static Map<String, Object> state(ConsumerGroupDescription group) {
    var row = new LinkedHashMap<String, Object>();
    row.put("type", group.type().toString());
    row.put("state", group.groupState().toString());
    row.put("assignor", group.partitionAssignor());
    row.put("epoch", group.groupEpoch().orElse(null));
    row.put("coordinator", group.coordinator() == null ? null : group.coordinator().id());
    row.put("members", group.members().size());
    return row;
  }

  static List<Map<String, Object>> transactions(org.apache.kafka.clients.admin.Admin admin) throws Exception {
    var out = new ArrayList<Map<String, Object>>();
    for (var found : admin.listTransactions().all().get()) {
      var row = new LinkedHashMap<String, Object>();
      row.put("transactional_id", found.transactionalId());
      row.put("producer_id", found.producerId());
      row.put("state", found.state().toString());
      out.add(row);
    }
    return out;
  }

  /** Offsets have gaps where transactions ended; this counts what is left. */
  static String records(org.apache.kafka.clients.admin.Admin admin, String topic) throws Exception {
    var places = new ArrayList<TopicPartition>();
    for (var p : describe(admin, topic).partitions()) places.add(new TopicPartition(topic, p.partition()));
    var counts = new TreeMap<Integer, Long>();
    var bytes = new ByteArrayDeserializer();
    try (var reader = new KafkaConsumer<byte[], byte[]>(PROPERTIES, bytes, bytes)) {
      reader.assign(places);
      reader.seekToBeginning(places);
      var ends = reader.endOffsets(places);
      while (!places.stream().allMatch(p -> reader.position(p) >= ends.get(p))) {
        for (var record : reader.poll(Duration.ofMillis(100))) counts.merge(record.partition(), 1L, Long::sum);
      }
    }
    var out = new StringJoiner(" ");
    counts.forEach((p, n) -> out.add(p + "=" + n));
    return out.toString();
  }

  /** From the coordinator's log, which holds every step of every transaction until it is compacted. */
  static String ended(String prefix) throws Exception {
    int committed = 0, aborted = 0;
    var bytes = new ByteArrayDeserializer();
    try (var reader = new KafkaConsumer<byte[], byte[]>(PROPERTIES, bytes, bytes)) {
      var places = reader.partitionsFor("__transaction_state").stream().map(p -> new TopicPartition(p.topic(), p.partition())).toList();
      reader.assign(places);
      reader.seekToBeginning(places);
      var ends = reader.endOffsets(places);
      while (!places.stream().allMatch(p -> reader.position(p) >= ends.get(p))) {
        for (var record : reader.poll(Duration.ofMillis(100))) {
          // Key: version, length, id (TransactionLogKey v0). Value: version, producer id, epoch, timeout, status (TransactionLogValue).
          var key = ByteBuffer.wrap(record.key());
          var id = new String(record.key(), 4, key.getShort(2), StandardCharsets.UTF_8);
          if (record.value() == null || !id.startsWith(prefix)) continue;
          byte status = record.value()[2 + 8 + 2 + 4];
          if (status == 4) committed++;
          if (status == 5) aborted++;
        }
      }
    }
    return "4=" + committed + " 5=" + aborted;
  }

  static void fromTheStart(org.apache.kafka.clients.admin.Admin admin, String group) throws Exception {
    var resource = new ConfigResource(ConfigResource.Type.GROUP, group);
    var earliest = new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET);
    admin.incrementalAlterConfigs(Map.of(resource, List.of(earliest))).all().get();
  }

  /** Groups that describeConsumerGroups does not know; assignments as partitions, those of Streams from its tasks and topology. */
  static Map<String, Object> described(org.apache.kafka.clients.admin.Admin admin, String kind, String id) throws Exception {
    var members = new ArrayList<Map<String, Object>>();
    var group = new LinkedHashMap<String, Object>();
    switch (kind) {
      case "share" -> {
        var found = admin.describeShareGroups(List.of(id)).all().get().get(id);
        group.put("state", found.groupState().toString());
        group.put("epoch", found.groupEpoch());
        for (var m : found.members()) members.add(member(m.consumerId(), m.clientId(), m.assignment().topicPartitions()));
      }
      case "streams" -> {
        var found = admin.describeStreamsGroups(List.of(id)).all().get().get(id);
        group.put("state", found.groupState().toString());
        group.put("epoch", found.groupEpoch());
        var sources = new HashMap<String, Set<String>>();
        for (var sub : found.subtopologies()) {
          var topics = new TreeSet<>(sub.sourceTopics());
          topics.addAll(sub.repartitionSourceTopics().keySet());
          sources.put(sub.subtopologyId(), topics);
        }
        for (var m : found.members()) {
          var places = new ArrayList<TopicPartition>();
          for (var task : m.assignment().activeTasks())
            for (var topic : sources.get(task.subtopologyId())) for (int p : task.partitions()) places.add(new TopicPartition(topic, p));
          members.add(member(m.memberId(), m.clientId(), places));
        }
      }
      case "classic" -> {
        var found = admin.describeClassicGroups(List.of(id)).all().get().get(id);
        group.put("state", found.state().toString());
        group.put("protocol_type", found.protocol());
        for (var m : found.members()) members.add(member(m.consumerId(), m.clientId(), m.assignment().topicPartitions()));
      }
      default -> throw new IllegalArgumentException("unknown kind " + kind);
    }
    group.put("members", members);
    return group;
  }

  static Map<String, Object> member(String id, String client, Collection<TopicPartition> places) {
    var row = new LinkedHashMap<String, Object>();
    row.put("member_id", id);
    row.put("client_id", client);
    row.put("assignment", places.stream().sorted(BY_PLACE).map(p -> List.<Object>of(p.topic(), p.partition())).toList());
    return row;
  }
}
