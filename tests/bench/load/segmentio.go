package main

import (
	"context"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// The topic's partitions, which kafka-go's readers take one by one.
const partitions = 3

type segmentio struct {
	writer *kafka.Writer
	config kafka.ReaderConfig
}

func openSegmentio(l login) (library, error) {
	mechanism, err := scram.Mechanism(scram.SHA512, l.user, l.password)
	if err != nil {
		return nil, err
	}
	s := segmentio{
		writer: &kafka.Writer{
			Addr: kafka.TCP(l.brokers...), Topic: *topic, Transport: &kafka.Transport{ClientID: "load", TLS: l.tls, SASL: mechanism},
			RequiredAcks: kafka.RequireAll, BatchSize: 1000, BatchTimeout: 5 * time.Millisecond, Async: true,
		},
		config: kafka.ReaderConfig{
			Brokers: l.brokers, Topic: *topic, Dialer: &kafka.Dialer{ClientID: "load", Timeout: 10 * time.Second, TLS: l.tls, SASLMechanism: mechanism},
			MinBytes: 1, MaxBytes: 8 << 20, MaxWait: 500 * time.Millisecond, QueueCapacity: 1000,
		},
	}
	s.writer.Completion = func(messages []kafka.Message, err error) {
		for i := range messages {
			messages[i].WriterData.(func(error))(err)
		}
	}
	return s, nil
}

func (s segmentio) send(value []byte, acked func(error)) {
	if err := s.writer.WriteMessages(context.Background(), kafka.Message{Value: value, WriterData: acked}); err != nil {
		acked(err)
	}
}

func (s segmentio) read(got func([]byte)) error {
	failed := make(chan error)
	for partition := range partitions {
		config := s.config
		config.Partition = partition
		go func() { failed <- readPartition(config, got) }()
	}
	return <-failed
}

func readPartition(config kafka.ReaderConfig, got func([]byte)) error {
	reader := kafka.NewReader(config)
	from := kafka.LastOffset
	if *again {
		from = kafka.FirstOffset
	}
	if err := reader.SetOffset(from); err != nil {
		return err
	}
	for {
		m, err := reader.ReadMessage(context.Background())
		if err != nil {
			return err
		}
		got(m.Value)
		if *again && m.Offset+1 >= m.HighWaterMark {
			if err := reader.SetOffset(kafka.FirstOffset); err != nil {
				return err
			}
		}
	}
}
