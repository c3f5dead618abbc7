// npm install kafkajs @kafkajs/confluent-schema-registry
const { Kafka } = require('kafkajs');
const { SchemaRegistry } = require('@kafkajs/confluent-schema-registry');

(async () => {
  const registry = new SchemaRegistry({ host: '@REGISTRY@' });
  const id = await registry.getLatestSchemaId('estuaire.partners.DeclareSeats');
  const producer = new Kafka({ brokers: ['@KAFKA@'] }).producer({ idempotent: true });
  await producer.connect();
  const value = await registry.encode(id, {
    programme_id: 'PARCOURS', total_count: 12, taken_count: 9, observed_at: Date.now(), sequence: null });
  await producer.send({ topic: '@SEATS@', messages: [{ value }] });
  await producer.disconnect();
})();
