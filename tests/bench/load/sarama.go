package main

import (
	"context"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

type saramas struct {
	producer sarama.AsyncProducer
	group    sarama.ConsumerGroup
	got      func([]byte)
}

// conversation is sarama's way to bring one's own SCRAM.
type conversation struct{ *scram.ClientConversation }

func (c *conversation) Begin(user, password, authzID string) error {
	client, err := scram.SHA512.NewClient(user, password, authzID)
	if err == nil {
		c.ClientConversation = client.NewConversation()
	}
	return err
}

func openSarama(l login) (library, error) {
	config := sarama.NewConfig()
	config.Version, config.ClientID = sarama.V3_6_0_0, "load"
	config.Net.TLS.Enable, config.Net.TLS.Config = true, l.tls
	config.Net.SASL.Enable, config.Net.SASL.User, config.Net.SASL.Password = true, l.user, l.password
	config.Net.SASL.Mechanism = sarama.SASLTypeSCRAMSHA512
	config.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &conversation{} }
	config.Producer.RequiredAcks, config.Producer.Return.Successes = sarama.WaitForAll, true
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	config.Consumer.Offsets.Initial = sarama.OffsetNewest
	producer, err := sarama.NewAsyncProducer(l.brokers, config)
	if err != nil {
		return nil, err
	}
	go func() {
		for m := range producer.Successes() {
			m.Metadata.(func(error))(nil)
		}
	}()
	go func() {
		for failed := range producer.Errors() {
			failed.Msg.Metadata.(func(error))(failed.Err)
		}
	}()
	member := "sarama"
	if *group != "" {
		member = *group
	}
	consumers, err := sarama.NewConsumerGroup(l.brokers, member, config)
	return &saramas{producer: producer, group: consumers}, err
}

func (s *saramas) send(value []byte, acked func(error)) {
	s.producer.Input() <- &sarama.ProducerMessage{Topic: *topic, Value: sarama.ByteEncoder(value), Metadata: acked}
}

func (s *saramas) read(got func([]byte)) error {
	s.got = got
	for {
		if err := s.group.Consume(context.Background(), []string{*topic}, s); err != nil {
			return err
		}
	}
}

// Setup, Cleanup and ConsumeClaim are sarama's interface of a group's member.
func (s *saramas) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (s *saramas) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (s *saramas) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		s.got(m.Value)
		session.MarkMessage(m, "")
	}
	return nil
}
