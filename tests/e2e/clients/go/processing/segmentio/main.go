// segmentio processes messages of segmentio/kafka-go.
package main

import (
	"context"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/plain"

	"obi.test/processing/work"
)

func main() { work.Main(run) }

type consumer struct {
	reader *kafka.Reader
	writer *kafka.Writer
	fetch  func(context.Context) (kafka.Message, error)
	// By value, which no two records share: string to chan *work.Place.
	placed sync.Map
}

func run(plan *work.Plan, truth *work.Truth) error {
	config, err := plan.TLSConfig()
	if err != nil {
		return err
	}
	login := plain.Mechanism{Username: plan.User, Password: plan.Password}
	every := time.Duration(0)
	if plan.Pattern == "async" || plan.Pattern == "pool" || plan.Pattern == "relay" {
		every = 100 * time.Millisecond
	}
	c := new(consumer)
	c.reader = kafka.NewReader(kafka.ReaderConfig{
		Brokers: plan.Brokers, GroupID: plan.Group, GroupTopics: []string{plan.Topic}, StartOffset: kafka.FirstOffset, MaxWait: 200 * time.Millisecond,
		MinBytes: 1, MaxBytes: 1 << 20, CommitInterval: every,
		Dialer: &kafka.Dialer{ClientID: plan.ClientID, TLS: config, SASLMechanism: login, Timeout: 10 * time.Second},
	})
	c.fetch = c.reader.FetchMessage
	if plan.Pattern == "auto" {
		c.fetch = c.reader.ReadMessage
	}
	c.writer = &kafka.Writer{
		Addr: kafka.TCP(plan.Brokers...), BatchTimeout: time.Millisecond, RequiredAcks: kafka.RequireAll,
		Transport: &kafka.Transport{ClientID: plan.ClientID, TLS: config, SASL: login},
		Completion: func(messages []kafka.Message, _ error) {
			for _, m := range messages {
				if to, waits := c.placed.Load(string(m.Value)); waits {
					to.(chan *work.Place) <- &work.Place{Topic: m.Topic, Partition: int32(m.Partition), Offset: m.Offset}
				}
			}
		},
	}
	if err := work.Run(plan, truth, c); err != nil {
		return err
	}
	if err := c.writer.Close(); err != nil {
		return err
	}
	return c.Close()
}

func (c *consumer) Fetch(int) ([]work.Given, error) {
	asked := work.Now()
	m, err := c.fetch(context.Background())
	if err != nil {
		return nil, err
	}
	context := ""
	for _, header := range m.Headers {
		if header.Key == "traceparent" {
			context = string(header.Value)
		}
	}
	told := work.Hand(asked, m.Topic, int32(m.Partition), m.Offset, context)
	return []work.Given{{Told: told, Record: m}}, nil
}

func (c *consumer) Settle(all []work.Given) error {
	var messages []kafka.Message
	for _, m := range all {
		messages = append(messages, m.Record.(kafka.Message))
	}
	return c.reader.CommitMessages(context.Background(), messages...)
}

func (c *consumer) Send(topic string, of work.Given) (*work.Place, error) {
	record := of.Record.(kafka.Message)
	placed := make(chan *work.Place, 1)
	c.placed.Store(string(record.Value), placed)
	defer c.placed.Delete(string(record.Value))
	err := c.writer.WriteMessages(context.Background(), kafka.Message{Topic: topic, Key: record.Key, Value: record.Value})
	if err != nil {
		return nil, err
	}
	return <-placed, nil
}

func (c *consumer) Close() error { return c.reader.Close() }
