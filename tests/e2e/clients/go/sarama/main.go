// sarama is a golden client on IBM/sarama.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"

	"obi.test/clients/golden"
)

func main() { golden.Main(open) }

type client struct {
	plan   *golden.Plan
	config *sarama.Config
	// Made when first needed.
	small, large sarama.AsyncProducer
	reader       sarama.Client
	group        sarama.ConsumerGroup
	records      chan *sarama.ConsumerMessage
}

func open(plan *golden.Plan) (golden.Client, error) {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.ClientID = plan.ClientID
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.MaxMessageBytes = 8 << 20
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Fetch.Default = 64 << 20
	config.Consumer.MaxProcessingTime = time.Minute
	sarama.MaxResponseSize = 200 << 20
	codecs := map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}
	config.Producer.Compression = codecs[plan.Codec]
	if plan.TLS {
		tls, err := plan.TLSConfig()
		if err != nil {
			return nil, err
		}
		config.Net.TLS.Enable, config.Net.TLS.Config = true, tls
		config.Net.SASL.Enable, config.Net.SASL.User, config.Net.SASL.Password = true, plan.User, plan.Password
		config.Net.SASL.Mechanism = sarama.SASLMechanism(plan.Mechanism)
		config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &login{} }
	}
	return &client{plan: plan, config: config, records: make(chan *sarama.ConsumerMessage, 1024)}, nil
}

// login is sarama's way to bring one's own SCRAM.
type login struct{ conversation *scram.ClientConversation }

func (l *login) Begin(user, password, authzID string) error {
	client, err := scram.SHA512.NewClient(user, password, authzID)
	if err == nil {
		l.conversation = client.NewConversation()
	}
	return err
}

func (l *login) Step(challenge string) (string, error) { return l.conversation.Step(challenge) }
func (l *login) Done() bool                            { return l.conversation.Done() }

func (c *client) producer(large bool) (sarama.AsyncProducer, error) {
	config, slot := *c.config, &c.small
	if large {
		slot = &c.large
		config.Producer.Flush.Frequency = 200 * time.Millisecond
		config.Producer.Flush.Bytes = 32 << 20
	}
	if *slot != nil {
		return *slot, nil
	}
	made, err := sarama.NewAsyncProducer(c.plan.Brokers, &config)
	*slot = made
	return made, err
}

func (c *client) Produce(records []golden.Record, large bool, acked func(*golden.Record, int64)) error {
	producer, err := c.producer(large)
	if err != nil {
		return err
	}
	go func() {
		for i := range records {
			record := &records[i]
			message := &sarama.ProducerMessage{Topic: record.Topic, Partition: record.Partition, Value: sarama.ByteEncoder(record.Value), Metadata: record}
			if record.Key != nil {
				message.Key = sarama.ByteEncoder(record.Key)
			}
			for _, h := range record.Headers {
				message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: []byte(h.Value)})
			}
			producer.Input() <- message
		}
	}()
	for range records {
		select {
		case done := <-producer.Successes():
			acked(done.Metadata.(*golden.Record), done.Offset)
		case failed := <-producer.Errors():
			return failed
		}
	}
	return nil
}

func (c *client) Consume(topics []string, n int, got func(*golden.Record, int64)) error {
	if c.reader == nil && c.group == nil {
		if err := c.subscribe(topics); err != nil {
			return err
		}
	}
	for ; n > 0; n-- {
		select {
		case m := <-c.records:
			record := golden.Record{Topic: m.Topic, Partition: m.Partition, Key: m.Key, Value: m.Value}
			for _, h := range m.Headers {
				record.Headers = append(record.Headers, golden.Header{Key: string(h.Key), Value: string(h.Value)})
			}
			got(&record, m.Offset)
		case <-time.After(time.Minute):
			return fmt.Errorf("%d records are missing", n)
		}
	}
	return nil
}

func (c *client) subscribe(topics []string) error {
	if c.plan.Group != "" {
		group, err := sarama.NewConsumerGroup(c.plan.Brokers, c.plan.Group, c.config)
		if err != nil {
			return err
		}
		c.group = group
		go func() {
			for {
				if err := group.Consume(context.Background(), topics, c); err != nil {
					return
				}
			}
		}()
		return nil
	}
	reader, err := sarama.NewClient(c.plan.Brokers, c.config)
	if err != nil {
		return err
	}
	c.reader = reader
	consumer, err := sarama.NewConsumerFromClient(reader)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		partitions, err := consumer.Partitions(topic)
		if err != nil {
			return err
		}
		for _, partition := range partitions {
			one, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
			if err != nil {
				return err
			}
			go func() {
				for m := range one.Messages() {
					c.records <- m
				}
			}()
		}
	}
	return nil
}

// Setup, Cleanup and ConsumeClaim are sarama's interface of a group's member.
func (c *client) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (c *client) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (c *client) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		c.records <- m
		session.MarkMessage(m, "")
	}
	return nil
}

func (c *client) Close() error {
	var failed error
	for _, producer := range []sarama.AsyncProducer{c.small, c.large} {
		if producer != nil {
			failed = errors.Join(failed, producer.Close())
		}
	}
	if c.group != nil {
		failed = errors.Join(failed, c.group.Close())
	}
	if c.reader != nil {
		failed = errors.Join(failed, c.reader.Close())
	}
	return failed
}
