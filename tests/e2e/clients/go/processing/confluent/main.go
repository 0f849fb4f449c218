// confluent processes messages of confluent-kafka-go.
package main

import (
	"context"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"obi.test/processing/work"
)

func main() { work.Main(run) }

type consumer struct {
	plan     *work.Plan
	consumer *kafka.Consumer
	producer *kafka.Producer
	// Asked of the library itself only since 2.1.
	closed bool
}

func run(plan *work.Plan, truth *work.Truth) error {
	config := func(more kafka.ConfigMap) *kafka.ConfigMap {
		all := kafka.ConfigMap{
			"bootstrap.servers": strings.Join(plan.Brokers, ","), "client.id": plan.ClientID, "security.protocol": "SASL_SSL",
			"ssl.ca.location": plan.CA, "sasl.mechanism": "PLAIN", "sasl.username": plan.User, "sasl.password": plan.Password,
		}
		for key, value := range more {
			all[key] = value
		}
		return &all
	}
	stores := stores(plan)
	own, err := kafka.NewConsumer(config(kafka.ConfigMap{
		"group.id": plan.Group, "auto.offset.reset": "earliest", "enable.auto.commit": plan.Pattern == "auto" || stores,
		"enable.auto.offset.store": !stores, "go.events.channel.enable": plan.Pattern == "channel",
	}))
	if err != nil {
		return err
	}
	producing := kafka.ConfigMap{"linger.ms": 1}
	if plan.Pattern == "transaction" {
		producing["transactional.id"] = plan.ClientID
	}
	producer, err := kafka.NewProducer(config(producing))
	if err != nil {
		return err
	}
	defer producer.Close()
	if err := own.SubscribeTopics([]string{plan.Topic}, nil); err != nil {
		return err
	}
	c := &consumer{plan: plan, consumer: own, producer: producer}
	if plan.Pattern == "transaction" {
		err = c.transactions(truth)
	} else {
		err = work.Run(plan, truth, c)
	}
	if err != nil || c.closed {
		return err
	}
	return c.Close()
}

func given(asked int64, m *kafka.Message) work.Given {
	context := ""
	for _, header := range m.Headers {
		if header.Key == "traceparent" {
			context = string(header.Value)
		}
	}
	place := m.TopicPartition
	return work.Given{Told: work.Hand(asked, *place.Topic, place.Partition, int64(place.Offset), context), Record: m}
}

func stores(plan *work.Plan) bool {
	switch plan.Pattern {
	case "async", "pool", "relay", "channel":
		return true
	}
	return false
}

func (c *consumer) Fetch(int) ([]work.Given, error) {
	asked := work.Now()
	if c.plan.Pattern == "channel" {
		m, ok := (<-c.consumer.Events()).(*kafka.Message)
		if !ok {
			return nil, nil
		}
		return []work.Given{given(asked, m)}, m.TopicPartition.Error
	}
	if c.plan.Pattern == "poll" {
		switch event := c.consumer.Poll(1000).(type) {
		case *kafka.Message:
			return []work.Given{given(asked, event)}, event.TopicPartition.Error
		case kafka.Error:
			return nil, event
		}
		return nil, nil
	}
	m, err := c.consumer.ReadMessage(time.Minute)
	if err != nil {
		return nil, err
	}
	return []work.Given{given(asked, m)}, nil
}

func (c *consumer) Settle(all []work.Given) error {
	message := all[0].Record.(*kafka.Message)
	if stores(c.plan) {
		_, err := c.consumer.StoreMessage(message)
		return err
	}
	if len(all) == 1 {
		_, err := c.consumer.CommitMessage(message)
		return err
	}
	var offsets []kafka.TopicPartition
	for _, m := range all {
		next := m.Record.(*kafka.Message).TopicPartition
		next.Offset++
		offsets = append(offsets, next)
	}
	_, err := c.consumer.CommitOffsets(offsets)
	return err
}

func (c *consumer) Send(topic string, of work.Given) (*work.Place, error) {
	report := make(chan kafka.Event, 1)
	letter := &kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny}, Value: of.Record.(*kafka.Message).Value,
	}
	if err := c.producer.Produce(letter, report); err != nil {
		return nil, err
	}
	place := (<-report).(*kafka.Message).TopicPartition
	return &work.Place{Topic: topic, Partition: place.Partition, Offset: int64(place.Offset)}, place.Error
}

func (c *consumer) Close() error {
	c.closed = true
	return c.consumer.Close()
}

// A message, its result and its offset are one transaction.
func (c *consumer) transactions(truth *work.Truth) error {
	ctx := context.Background()
	if err := c.producer.InitTransactions(ctx); err != nil {
		return err
	}
	for last := false; !last; {
		all, err := c.Fetch(1)
		if err != nil {
			return err
		}
		if err := c.producer.BeginTransaction(); err != nil {
			return err
		}
		m := all[0]
		m.Told.Worked = work.Now()
		if m.Told.Sent, err = c.Send(c.plan.DeadLetters, m); err != nil {
			return err
		}
		next := m.Record.(*kafka.Message).TopicPartition
		next.Offset++
		member, err := c.consumer.GetConsumerGroupMetadata()
		if err != nil {
			return err
		}
		m.Told.Ended = work.Now()
		if err := c.producer.SendOffsetsToTransaction(ctx, []kafka.TopicPartition{next}, member); err != nil {
			return err
		}
		m.Told.Settled = work.Now()
		if err := c.producer.CommitTransaction(ctx); err != nil {
			return err
		}
		last = truth.Done(m.Told)
	}
	return nil
}
