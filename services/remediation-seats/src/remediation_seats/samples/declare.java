// java -cp kafka-clients.jar:slf4j-api.jar:avro.jar:jackson-core.jar:jackson-databind.jar:jackson-annotations.jar Declare.java
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.*;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.generic.*;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.*;

public class Declare {
    static final String SUBJECT = "@REGISTRY@/subjects/estuaire.partners.DeclareSeats/versions/latest";

    static String get(String url) throws Exception {
        return HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(url)).build(), HttpResponse.BodyHandlers.ofString()).body();
    }

    public static void main(String[] arguments) throws Exception {
        int id = Integer.parseInt(get(SUBJECT).replaceAll("(?s).*\"id\"\\s*:\\s*(\\d+).*", "$1"));
        Schema schema = new Schema.Parser().parse(get(SUBJECT + "/schema"));
        GenericRecord line = new GenericData.Record(schema);
        line.put("programme_id", "PARCOURS");
        line.put("total_count", 12);
        line.put("taken_count", 9);
        line.put("observed_at", Instant.now().toEpochMilli());

        // Le format de Confluent : un octet nul, l'identifiant du schéma, les données Avro.
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(0);
        out.write(ByteBuffer.allocate(4).putInt(id).array());
        var encoder = EncoderFactory.get().directBinaryEncoder(out, null);
        new GenericDatumWriter<GenericRecord>(schema).write(line, encoder);

        Map<String, Object> settings = Map.of("bootstrap.servers", "@KAFKA@", "enable.idempotence", true);
        try (var producer = new KafkaProducer<>(settings, new StringSerializer(), new ByteArraySerializer())) {
            producer.send(new ProducerRecord<>("@SEATS@", null, out.toByteArray())).get();
        }
    }
}
