// org.apache.kafka:kafka-clients, io.confluent:kafka-avro-serializer
Properties settings = new Properties();
settings.put("bootstrap.servers", "@KAFKA@");
settings.put("schema.registry.url", "@REGISTRY@");
settings.put("key.serializer", "org.apache.kafka.common.serialization.StringSerializer");
settings.put("value.serializer", "io.confluent.kafka.serializers.KafkaAvroSerializer");
settings.put("auto.register.schemas", false);
settings.put("use.latest.version", true);
settings.put("value.subject.name.strategy", "io.confluent.kafka.serializers.subject.RecordNameStrategy");
Schema schema = new Schema.Parser().parse(new URL("@REGISTRY@/subjects/estuaire.partners.DeclareSeats/versions/latest/schema").openStream());
GenericRecord line = new GenericData.Record(schema);
line.put("programme_id", "PARCOURS");
line.put("total_count", 12);
line.put("taken_count", 9);
line.put("observed_at", Instant.now().toEpochMilli());
try (KafkaProducer<String, Object> producer = new KafkaProducer<>(settings)) {
    producer.send(new ProducerRecord<>("@SEATS@", line)).get();
}
