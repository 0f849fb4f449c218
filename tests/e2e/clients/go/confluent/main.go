// confluent is a golden client on confluent-kafka-go: cgo, librdkafka and its OpenSSL inside the executable.
package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"obi.test/clients/golden"
)

func main() { golden.Main(open) }

const partitions = 3

type client struct {
	plan         *golden.Plan
	small, large *kafka.Producer
	reader       *kafka.Consumer
}

func open(plan *golden.Plan) (golden.Client, error) { return &client{plan: plan}, nil }

func (c *client) config(more kafka.ConfigMap) *kafka.ConfigMap {
	config := kafka.ConfigMap{"bootstrap.servers": strings.Join(c.plan.Brokers, ","), "client.id": c.plan.ClientID}
	if c.plan.TLS {
		config["security.protocol"] = "SASL_SSL"
		config["ssl.ca.location"] = c.plan.CA
		config["sasl.mechanism"] = c.plan.Mechanism
		config["sasl.username"], config["sasl.password"] = c.plan.User, c.plan.Password
	}
	for key, value := range more {
		config[key] = value
	}
	return &config
}

func (c *client) producer(large bool) (*kafka.Producer, error) {
	slot, batch, linger := &c.small, 64<<10, 1
	if large {
		slot, batch, linger = &c.large, 8<<20, 200
	}
	if *slot != nil {
		return *slot, nil
	}
	made, err := kafka.NewProducer(c.config(kafka.ConfigMap{
		"acks": "all", "compression.type": c.plan.Codec, "batch.size": batch, "linger.ms": linger, "message.max.bytes": 10 << 20,
		"queue.buffering.max.kbytes": 256 << 10,
	}))
	*slot = made
	return made, err
}

func (c *client) Produce(records []golden.Record, large bool, acked func(*golden.Record, int64)) error {
	producer, err := c.producer(large)
	if err != nil {
		return err
	}
	reports := make(chan kafka.Event, len(records))
	for i := range records {
		record := &records[i]
		message := &kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &record.Topic, Partition: record.Partition},
			Key:            record.Key, Value: record.Value, Opaque: record,
		}
		for _, h := range record.Headers {
			message.Headers = append(message.Headers, kafka.Header{Key: h.Key, Value: []byte(h.Value)})
		}
		if err := producer.Produce(message, reports); err != nil {
			return err
		}
	}
	for range records {
		message := (<-reports).(*kafka.Message)
		if message.TopicPartition.Error != nil {
			return message.TopicPartition.Error
		}
		acked(message.Opaque.(*golden.Record), int64(message.TopicPartition.Offset))
	}
	return nil
}

func (c *client) Consume(topics []string, n int, got func(*golden.Record, int64)) error {
	if c.reader == nil {
		if err := c.subscribe(topics); err != nil {
			return err
		}
	}
	for ; n > 0; n-- {
		m, err := c.reader.ReadMessage(time.Minute)
		if err != nil {
			return fmt.Errorf("%d records are missing: %w", n, err)
		}
		record := golden.Record{Topic: *m.TopicPartition.Topic, Partition: m.TopicPartition.Partition, Key: m.Key, Value: m.Value}
		for _, h := range m.Headers {
			record.Headers = append(record.Headers, golden.Header{Key: h.Key, Value: string(h.Value)})
		}
		got(&record, int64(m.TopicPartition.Offset))
	}
	return nil
}

func (c *client) subscribe(topics []string) error {
	group := c.plan.Group
	if group == "" {
		group = "unused"
	}
	reader, err := kafka.NewConsumer(c.config(kafka.ConfigMap{
		"group.id": group, "auto.offset.reset": "earliest", "fetch.max.bytes": 120 << 20, "max.partition.fetch.bytes": 64 << 20,
		"receive.message.max.bytes": 200 << 20, "enable.auto.commit": c.plan.Group != "",
	}))
	if err != nil {
		return err
	}
	c.reader = reader
	if c.plan.Group != "" {
		return reader.SubscribeTopics(topics, nil)
	}
	var all []kafka.TopicPartition
	for i := range topics {
		for partition := range int32(partitions) {
			all = append(all, kafka.TopicPartition{Topic: &topics[i], Partition: partition, Offset: kafka.OffsetBeginning})
		}
	}
	return reader.Assign(all)
}

func (c *client) Close() error {
	var failed error
	for _, producer := range []*kafka.Producer{c.small, c.large} {
		if producer != nil {
			if left := producer.Flush(10_000); left != 0 {
				failed = fmt.Errorf("%d records were never acknowledged", left)
			}
			producer.Close()
		}
	}
	if c.reader != nil {
		failed = errors.Join(failed, c.reader.Close())
	}
	return failed
}
