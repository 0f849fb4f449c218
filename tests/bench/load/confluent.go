package main

import (
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

type confluent struct {
	producer *kafka.Producer
	consumer *kafka.Consumer
}

func openConfluent(l login) (library, error) {
	config := func(more kafka.ConfigMap) *kafka.ConfigMap {
		config := kafka.ConfigMap{
			"bootstrap.servers": strings.Join(l.brokers, ","), "client.id": "load", "security.protocol": "SASL_SSL", "ssl.ca.location": *ca,
			"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": l.user, "sasl.password": l.password,
		}
		for key, value := range more {
			config[key] = value
		}
		return &config
	}
	producer, err := kafka.NewProducer(config(kafka.ConfigMap{"acks": "all", "linger.ms": 5}))
	if err != nil {
		return nil, err
	}
	go func() {
		for event := range producer.Events() {
			if m, ok := event.(*kafka.Message); ok {
				m.Opaque.(func(error))(m.TopicPartition.Error)
			}
		}
	}()
	member := "confluent"
	if *group != "" {
		member = *group
	}
	consumer, err := kafka.NewConsumer(config(kafka.ConfigMap{"group.id": member, "auto.offset.reset": "latest"}))
	if err != nil {
		return nil, err
	}
	return &confluent{producer, consumer}, consumer.SubscribeTopics([]string{*topic}, nil)
}

func (c *confluent) send(value []byte, acked func(error)) {
	m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: topic, Partition: kafka.PartitionAny}, Value: value, Opaque: acked}
	for {
		err := c.producer.Produce(m, nil)
		if failed, ok := err.(kafka.Error); ok && failed.Code() == kafka.ErrQueueFull {
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			acked(err)
		}
		return
	}
}

func (c *confluent) read(got func([]byte)) error {
	for {
		m, err := c.consumer.ReadMessage(-1)
		if err != nil {
			return err
		}
		got(m.Value)
	}
}
