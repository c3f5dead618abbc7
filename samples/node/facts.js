// Reads a topic of facts from its first record to its present end; prints how many there are, and the last one.
// npm ci && node facts.js remediation-seats.programmes.v1

import avro from "avsc";
import { Kafka, logLevel } from "kafkajs";

const topic = process.argv[2] ?? "remediation-seats.programmes.v1";
const setting = (name, otherwise) => process.env[name] ?? otherwise;
const registry = setting("REGISTRY_URL", "http://localhost:8081/apis/ccompat/v7");
const password = setting("KAFKA_PASSWORD", "");

// Counts may be larger than the whole numbers that JavaScript is exact with: they stay BigInt, and are text in JSON.
const long = avro.types.LongType.__with({
  fromBuffer: (bytes) => bytes.readBigInt64LE(),
  toBuffer: (value) => { const bytes = Buffer.alloc(8); bytes.writeBigInt64LE(value); return bytes; },
  fromJSON: BigInt,
  toJSON: String,
  isValid: (value) => typeof value === "bigint",
  compare: (one, other) => (one === other ? 0 : one < other ? -1 : 1),
});

const types = new Map();
async function typeOf(id) {
  if (!types.has(id)) {
    const answer = await fetch(`${registry}/schemas/ids/${id}`);
    const { schema } = await answer.json();
    const typeHook = (one) => (one === "long" || one.type === "long" ? long : undefined);
    types.set(id, avro.Type.forSchema(JSON.parse(schema), { typeHook }));
  }
  return types.get(id);
}

// A record is a zero, the id of its schema in four bytes, then Avro (the Confluent wire format).
async function decoded(value) {
  const type = await typeOf(value.readInt32BE(1));
  return JSON.stringify(type.fromBuffer(value.subarray(5)), (_, one) => (typeof one === "bigint" ? String(one) : one));
}

const kafka = new Kafka({
  brokers: setting("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092").split(","),
  logLevel: logLevel.ERROR,
  ...(password && {
    ssl: setting("KAFKA_SECURITY_PROTOCOL", "SASL_SSL") === "SASL_SSL",
    sasl: { mechanism: "scram-sha-512", username: "analyst", password },
  }),
});
const admin = kafka.admin();
await admin.connect();
const offsets = await admin.fetchTopicOffsets(topic);
await admin.disconnect();
const left = new Map(offsets.filter((one) => one.high !== one.low).map((one) => [one.partition, BigInt(one.high)]));

// The user `analyst` has no other groups; this one is new at each run, and so begins at the first record.
const consumer = kafka.consumer({ groupId: `analyst-sample-node-${process.pid}-${Date.now()}` });
let count = 0, last = null;
await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await new Promise((done, failed) => {
  if (left.size === 0) return done();
  consumer.on(consumer.events.CRASH, (event) => failed(event.payload.error));
  consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      if (!left.has(partition)) return;
      last = await decoded(message.value);
      count += 1;
      if (BigInt(message.offset) + 1n >= left.get(partition)) left.delete(partition);
      if (left.size === 0) done();
    },
  });
});
await consumer.disconnect();
console.log(count);
console.log(last);
