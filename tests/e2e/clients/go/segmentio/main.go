// segmentio is a golden client on segmentio/kafka-go. Its writer sends each partition's batch in a request of its own, its readers
// fetch one partition each.
package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"obi.test/clients/golden"
)

func main() { golden.Main(open) }

const partitions = 3

type client struct {
	plan      *golden.Plan
	transport *kafka.Transport
	dialer    *kafka.Dialer
	// Made when first needed.
	small, large *kafka.Writer
	readers      []*kafka.Reader
	records      chan kafka.Message
	failures     chan error
	// Set while Produce runs.
	lock  sync.Mutex
	acked func(*golden.Record, int64)
}

func open(plan *golden.Plan) (golden.Client, error) {
	c := &client{plan: plan, records: make(chan kafka.Message), failures: make(chan error, 16)}
	c.transport = &kafka.Transport{ClientID: plan.ClientID}
	c.dialer = &kafka.Dialer{ClientID: plan.ClientID, Timeout: 10 * time.Second}
	if plan.TLS {
		config, err := plan.TLSConfig()
		if err != nil {
			return nil, err
		}
		login, err := mechanism(plan)
		if err != nil {
			return nil, err
		}
		c.transport.TLS, c.transport.SASL = config, login
		c.dialer.TLS, c.dialer.SASLMechanism = config, login
	}
	return c, nil
}

func mechanism(plan *golden.Plan) (sasl.Mechanism, error) {
	if plan.Mechanism == "PLAIN" {
		return plain.Mechanism{Username: plan.User, Password: plan.Password}, nil
	}
	return scram.Mechanism(scram.SHA512, plan.User, plan.Password)
}

// The partition of a message is the one its record asks for.
func balance(m kafka.Message, _ ...int) int { return int(m.WriterData.(*golden.Record).Partition) }

func (c *client) writer(large bool) *kafka.Writer {
	slot, bytes, timeout := &c.small, int64(64<<10), time.Millisecond
	if large {
		slot, bytes, timeout = &c.large, 8<<20, 200*time.Millisecond
	}
	if *slot == nil {
		codec := map[string]kafka.Compression{"gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4, "zstd": compress.Zstd}
		*slot = &kafka.Writer{
			Addr: kafka.TCP(c.plan.Brokers...), Transport: c.transport, Balancer: kafka.BalancerFunc(balance), RequiredAcks: kafka.RequireAll,
			Compression: codec[c.plan.Codec], BatchSize: 10_000, BatchBytes: bytes, BatchTimeout: timeout, Completion: c.complete,
		}
	}
	return *slot
}

func (c *client) complete(messages []kafka.Message, err error) {
	if err != nil {
		return
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, m := range messages {
		c.acked(m.WriterData.(*golden.Record), m.Offset)
	}
}

func (c *client) Produce(records []golden.Record, large bool, acked func(*golden.Record, int64)) error {
	c.acked = acked
	messages := make([]kafka.Message, len(records))
	for i := range records {
		record := &records[i]
		messages[i] = kafka.Message{Topic: record.Topic, Key: record.Key, Value: record.Value, WriterData: record}
		for _, h := range record.Headers {
			messages[i].Headers = append(messages[i].Headers, kafka.Header{Key: h.Key, Value: []byte(h.Value)})
		}
	}
	return c.writer(large).WriteMessages(context.Background(), messages...)
}

func (c *client) Consume(topics []string, n int, got func(*golden.Record, int64)) error {
	if c.readers == nil {
		c.subscribe(topics)
	}
	for ; n > 0; n-- {
		select {
		case m := <-c.records:
			record := golden.Record{Topic: m.Topic, Partition: int32(m.Partition), Key: m.Key, Value: m.Value}
			for _, h := range m.Headers {
				record.Headers = append(record.Headers, golden.Header{Key: h.Key, Value: string(h.Value)})
			}
			got(&record, m.Offset)
		case err := <-c.failures:
			return err
		case <-time.After(time.Minute):
			return fmt.Errorf("%d records are missing", n)
		}
	}
	return nil
}

func (c *client) subscribe(topics []string) {
	config := kafka.ReaderConfig{Brokers: c.plan.Brokers, Dialer: c.dialer, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 500 * time.Millisecond, StartOffset: kafka.FirstOffset}
	if c.plan.Group != "" {
		config.GroupID, config.GroupTopics = c.plan.Group, topics
		c.read(config)
		return
	}
	for _, topic := range topics {
		for partition := range partitions {
			config.Topic, config.Partition = topic, partition
			c.read(config)
		}
	}
}

func (c *client) read(config kafka.ReaderConfig) {
	reader := kafka.NewReader(config)
	c.readers = append(c.readers, reader)
	go func() {
		for {
			m, err := reader.ReadMessage(context.Background())
			if err != nil {
				c.failures <- err
				return
			}
			c.records <- m
		}
	}()
}

func (c *client) Close() error {
	var failed error
	for _, writer := range []*kafka.Writer{c.small, c.large} {
		if writer != nil {
			failed = errors.Join(failed, writer.Close())
		}
	}
	for _, reader := range c.readers {
		failed = errors.Join(failed, reader.Close())
	}
	return failed
}
