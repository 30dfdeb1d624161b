import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.protobuf.DescriptorProtos.DescriptorProto;
import com.google.protobuf.DescriptorProtos.FieldDescriptorProto;
import com.google.protobuf.DescriptorProtos.FileDescriptorProto;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.Descriptors.DescriptorValidationException;
import com.google.protobuf.Descriptors.FileDescriptor;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.IntFunction;
import org.apache.pulsar.client.api.AuthenticationFactory;
import org.apache.pulsar.client.api.ClientBuilder;
import org.apache.pulsar.client.api.Message;
import org.apache.pulsar.client.api.MessageId;
import org.apache.pulsar.client.api.MessageIdAdv;
import org.apache.pulsar.client.api.Producer;
import org.apache.pulsar.client.api.PulsarClient;
import org.apache.pulsar.client.api.PulsarClientException;
import org.apache.pulsar.client.api.Reader;
import org.apache.pulsar.client.api.Schema;
import org.apache.pulsar.client.api.schema.Field;
import org.apache.pulsar.client.api.schema.GenericRecord;
import org.apache.pulsar.client.api.schema.GenericRecordBuilder;
import org.apache.pulsar.client.api.schema.GenericSchema;
import org.apache.pulsar.client.api.schema.RecordSchemaBuilder;
import org.apache.pulsar.client.api.schema.SchemaBuilder;
import org.apache.pulsar.client.impl.schema.ProtobufNativeSchemaUtils;
import org.apache.pulsar.client.impl.schema.SchemaInfoImpl;
import org.apache.pulsar.client.impl.schema.generic.GenericProtobufNativeSchema;
import org.apache.pulsar.common.schema.KeyValue;
import org.apache.pulsar.common.schema.KeyValueEncodingType;
import org.apache.pulsar.common.schema.SchemaInfo;
import org.apache.pulsar.common.schema.SchemaType;

/**
 * A client with schemas of every kind. Each line of its input is a command, each line of its output the answer.
 *
 * <p>Arguments: the service URL, and a token or nothing. A schema is a kind and a number of fields: each version of a
 * record has one text more than the one before, and -1 stands for a record that is compatible with none of them.
 */
public final class TypedClient {
    private static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    private static final int PATIENCE = 60;

    private final PulsarClient client;

    private TypedClient(PulsarClient client) {
        this.client = client;
    }

    public static void main(String[] args) throws IOException {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err); // what libraries say
        ClientBuilder builder = PulsarClient.builder().serviceUrl(args[0]).operationTimeout(PATIENCE, TimeUnit.SECONDS);
        if (args.length > 1) {
            builder.authentication(AuthenticationFactory.token(args[1]));
        }
        try (PulsarClient client = builder.build()) {
            TypedClient typed = new TypedClient(client);
            BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                out.println(GSON.toJson(typed.answer(GSON.fromJson(line, JsonObject.class))));
            }
        }
    }

    /** {"result": what the command gives} or {"error": the name of an exception}. */
    private Map<String, Object> answer(JsonObject command) {
        Map<String, Object> answer = new LinkedHashMap<>();
        try {
            answer.put("result", run(command));
        } catch (Exception error) {
            error.printStackTrace();
            answer.put("error", error.getClass().getSimpleName());
        }
        return answer;
    }

    private Object run(JsonObject command) throws Exception {
        String topic = "persistent://" + command.get("topic").getAsString();
        Typed<?> typed = command.has("kind")
                ? typed(command.get("kind").getAsString(), command.get("fields").getAsInt())
                : null;
        switch (command.get("do").getAsString()) {
            case "produce":
                return produce(topic, typed, command.get("from").getAsInt(), command.get("count").getAsInt());
            case "read":
                return read(topic, typed == null ? Schema.AUTO_CONSUME() : typed.schema);
            case "connect":
                return produce(topic, typed, 0, 0);
            default:
                throw new IllegalArgumentException(command.toString());
        }
    }

    /** Sends messages with these numbers. Gives how many there were. */
    private <T> int produce(String topic, Typed<T> typed, int from, int count) throws Exception {
        try (Producer<T> producer =
                client.newProducer(typed.schema).topic(topic).enableBatching(false).create()) {
            List<CompletableFuture<MessageId>> sent = new ArrayList<>();
            for (int number = from; number < from + count; number++) {
                sent.add(producer.newMessage().value(typed.value.apply(number)).sendAsync());
            }
            for (CompletableFuture<MessageId> each : sent) {
                each.get(PATIENCE, TimeUnit.SECONDS);
            }
        }
        return count;
    }

    /** All messages of a topic: where each is, the version of its schema, and its content. */
    private List<Map<String, Object>> read(String topic, Schema<?> schema) throws PulsarClientException {
        List<Map<String, Object>> found = new ArrayList<>();
        try (Reader<?> reader = client.newReader(schema)
                .topic(topic)
                .startMessageId(MessageId.earliest)
                .create()) {
            while (reader.hasMessageAvailable()) {
                Message<?> message = reader.readNext(PATIENCE, TimeUnit.SECONDS);
                MessageIdAdv id = (MessageIdAdv) message.getMessageId();
                byte[] version = message.getSchemaVersion();
                Map<String, Object> one = new LinkedHashMap<>();
                one.put("ledger", id.getLedgerId());
                one.put("entry", id.getEntryId());
                one.put("version", version == null ? null : ByteBuffer.wrap(version).getLong());
                try {
                    one.put("content", plain(message.getValue()));
                } catch (RuntimeException error) {
                    error.printStackTrace();
                    one.put("error", error.getClass().getSimpleName());
                }
                found.add(one);
            }
        } catch (IOException error) {
            throw PulsarClientException.unwrap(error);
        }
        return found;
    }

    private static Object plain(Object value) {
        if (value instanceof KeyValue) {
            Map<String, Object> both = new LinkedHashMap<>();
            both.put("key", plain(((KeyValue<?, ?>) value).getKey()));
            both.put("value", plain(((KeyValue<?, ?>) value).getValue()));
            return both;
        }
        if (value instanceof byte[]) { // the broker does not give out its schema
            return Base64.getEncoder().encodeToString((byte[]) value);
        }
        if (!(value instanceof GenericRecord)) {
            return value instanceof Number ? value : String.valueOf(value);
        }
        GenericRecord record = (GenericRecord) value;
        if (!record.getSchemaType().isStruct()) {
            return plain(record.getNativeObject());
        }
        Map<String, Object> fields = new LinkedHashMap<>();
        for (Field field : record.getFields()) {
            Object content = record.getField(field);
            fields.put(field.getName(), content == null ? null : plain(content));
        }
        return fields;
    }

    /** A schema, and the content with a number. */
    private static final class Typed<T> {
        final Schema<T> schema;
        final IntFunction<T> value;

        Typed(Schema<T> schema, IntFunction<T> value) {
            this.schema = schema;
            this.value = value;
        }
    }

    private static Typed<?> typed(String kind, int fields) throws DescriptorValidationException {
        switch (kind) {
            case "STRING":
                return new Typed<>(Schema.STRING, number -> "text " + number);
            case "INT64":
                return new Typed<>(Schema.INT64, number -> (long) number);
            case "JSON":
            case "AVRO":
                return record(Schema.generic(definition("Order", fields, SchemaType.valueOf(kind))), fields);
            case "PROTOBUF_NATIVE":
                return record(GenericProtobufNativeSchema.of(message(fields)), fields);
            case "KEY_VALUE_INLINE":
                return pair(fields, KeyValueEncodingType.INLINE);
            case "KEY_VALUE_SEPARATED":
                return pair(fields, KeyValueEncodingType.SEPARATED);
            default:
                throw new IllegalArgumentException(kind);
        }
    }

    private static Typed<KeyValue<GenericRecord, GenericRecord>> pair(int fields, KeyValueEncodingType encoding) {
        Typed<GenericRecord> key = record(Schema.generic(definition("Key", 0, SchemaType.AVRO)), 0);
        Typed<GenericRecord> value = record(Schema.generic(definition("Order", fields, SchemaType.JSON)), fields);
        return new Typed<>(
                Schema.KeyValue(key.schema, value.schema, encoding),
                number -> new KeyValue<>(key.value.apply(number), value.value.apply(number)));
    }

    private static Typed<GenericRecord> record(GenericSchema<GenericRecord> schema, int fields) {
        return new Typed<>(schema, number -> {
            GenericRecordBuilder builder = schema.newRecordBuilder();
            builder.set("number", fields < 0 ? "" + number : number);
            for (int text = 1; text <= fields; text++) {
                builder.set("text" + text, "text " + text + " of " + number);
            }
            return builder.build();
        });
    }

    private static SchemaInfo definition(String name, int fields, SchemaType type) {
        RecordSchemaBuilder builder = SchemaBuilder.record(name);
        builder.field("number").type(fields < 0 ? SchemaType.STRING : SchemaType.INT32);
        for (int text = 1; text <= fields; text++) {
            builder.field("text" + text).type(SchemaType.STRING).optional().defaultValue(null);
        }
        return builder.build(type);
    }

    private static SchemaInfo message(int fields) throws DescriptorValidationException {
        DescriptorProto.Builder message = DescriptorProto.newBuilder().setName(fields < 0 ? "Other" : "Order");
        message.addField(field("number", 1, fields < 0 ? FieldDescriptorProto.Type.TYPE_STRING
                : FieldDescriptorProto.Type.TYPE_INT32));
        for (int text = 1; text <= fields; text++) {
            message.addField(field("text" + text, text + 1, FieldDescriptorProto.Type.TYPE_STRING));
        }
        FileDescriptorProto file = FileDescriptorProto.newBuilder()
                .setName("order.proto")
                .setPackage("shop")
                .setSyntax("proto3")
                .addMessageType(message)
                .build();
        Descriptor descriptor =
                FileDescriptor.buildFrom(file, new FileDescriptor[0]).getMessageTypes().get(0);
        return SchemaInfoImpl.builder()
                .name("")
                .type(SchemaType.PROTOBUF_NATIVE)
                .schema(ProtobufNativeSchemaUtils.serialize(descriptor))
                .build();
    }

    private static FieldDescriptorProto field(String name, int number, FieldDescriptorProto.Type type) {
        return FieldDescriptorProto.newBuilder()
                .setName(name)
                .setNumber(number)
                .setType(type)
                .setLabel(FieldDescriptorProto.Label.LABEL_OPTIONAL)
                .build();
    }
}
