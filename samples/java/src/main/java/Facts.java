import com.fasterxml.jackson.databind.ObjectMapper;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Reads a topic of facts from its first record to its present end; prints how many there are, and the last one. */
public class Facts {
    private static final Map<Integer, GenericDatumReader<Object>> READERS = new HashMap<>();

    public static void main(String[] arguments) throws Exception {
        String topic = arguments.length > 0 ? arguments[0] : "remediation-seats.programmes.v1";
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", setting("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"));
        settings.put("group.id", "analyst-sample-java"); // the user `analyst` has no other groups
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", false); // nothing is kept: the next run begins at the first record again
        settings.put("key.deserializer", ByteArrayDeserializer.class);
        settings.put("value.deserializer", ByteArrayDeserializer.class);
        String password = setting("KAFKA_PASSWORD", "");
        if (!password.isEmpty()) {
            settings.put("security.protocol", setting("KAFKA_SECURITY_PROTOCOL", "SASL_SSL"));
            settings.put("sasl.mechanism", "SCRAM-SHA-512");
            settings.put("sasl.jaas.config", "org.apache.kafka.common.security.scram.ScramLoginModule required "
                + "username=\"analyst\" password=\"" + password + "\";");
        }
        long count = 0;
        Object last = null;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings)) {
            List<TopicPartition> partitions = consumer.partitionsFor(topic).stream()
                .map(entry -> new TopicPartition(topic, entry.partition())).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            while (partitions.stream().anyMatch(one -> consumer.position(one) < ends.get(one))) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    last = decoded(record.value());
                    count++;
                }
            }
        }
        System.out.println(count);
        System.out.println(last);
    }

    /** A record is a zero, the id of its schema in four bytes, then Avro (the Confluent wire format). */
    private static Object decoded(byte[] value) throws Exception {
        int id = ByteBuffer.wrap(value).getInt(1);
        if (!READERS.containsKey(id)) READERS.put(id, new GenericDatumReader<>(schema(id)));
        return READERS.get(id).read(null, DecoderFactory.get().binaryDecoder(value, 5, value.length - 5, null));
    }

    private static Schema schema(int id) throws Exception {
        URI address = URI.create(setting("REGISTRY_URL", "http://localhost:8081/apis/ccompat/v7") + "/schemas/ids/" + id);
        HttpRequest request = HttpRequest.newBuilder(address).build();
        String answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
        return new Schema.Parser().parse(new ObjectMapper().readTree(answer).get("schema").asText());
    }

    private static String setting(String name, String otherwise) {
        return System.getenv().getOrDefault(name, otherwise);
    }
}
