// sarama processes messages of IBM/sarama: claims of a consumer group.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"

	"obi.test/processing/work"
)

func main() { work.Main(run) }

type program struct {
	plan     *work.Plan
	truth    *work.Truth
	producer sarama.SyncProducer
	// In the pattern input.
	input  sarama.AsyncProducer
	failed error
}

func run(plan *work.Plan, truth *work.Truth) error {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.ClientID = plan.ClientID
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	// A commit waits for the fetch before it on the same connection.
	config.Consumer.MaxWaitTime = 20 * time.Millisecond
	config.Consumer.Offsets.AutoCommit.Enable = marks(plan)
	config.Producer.Return.Successes = true
	if plan.Pattern == "relay" {
		// Workers share requests.
		config.Producer.Flush.Frequency = 5 * time.Millisecond
	}
	tls, err := plan.TLSConfig()
	if err != nil {
		return err
	}
	config.Net.TLS.Enable, config.Net.TLS.Config = true, tls
	config.Net.SASL.Enable, config.Net.SASL.User, config.Net.SASL.Password = true, plan.User, plan.Password
	group, err := sarama.NewConsumerGroup(plan.Brokers, plan.Group, config)
	if err != nil {
		return err
	}
	producer, err := sarama.NewSyncProducer(plan.Brokers, config)
	if err != nil {
		return err
	}
	input, err := sarama.NewAsyncProducer(plan.Brokers, config)
	if err != nil {
		return err
	}
	ctx, done := context.WithCancel(context.Background())
	go func() {
		<-truth.Over
		done()
	}()
	p := &program{plan: plan, truth: truth, producer: producer, input: input}
	for ctx.Err() == nil && p.failed == nil {
		if err := group.Consume(ctx, []string{plan.Topic}, p); err != nil {
			return err
		}
	}
	if err := producer.Close(); err != nil {
		return err
	}
	if err := input.Close(); err != nil {
		return err
	}
	if err := group.Close(); err != nil {
		return err
	}
	return p.failed
}

// What is marked is committed by the library.
func marks(plan *work.Plan) bool {
	return plan.Pattern == "async" || plan.Pattern == "pool" || plan.Pattern == "relay"
}

func (p *program) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (p *program) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (p *program) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	err := work.Run(p.plan, p.truth, &consumer{p, session, claim})
	if errors.Is(err, work.Closed) {
		return nil
	}
	if !errors.Is(err, work.Failed) {
		p.failed = err
	}
	return err
}

type consumer struct {
	*program
	session sarama.ConsumerGroupSession
	claim   sarama.ConsumerGroupClaim
}

// A message is there when the channel gives it; nobody outside sees that.
func (c *consumer) Fetch(int) ([]work.Given, error) {
	asked := work.Now()
	select {
	case m, open := <-c.claim.Messages():
		if !open {
			return nil, work.Closed
		}
		context := ""
		for _, header := range m.Headers {
			if string(header.Key) == "traceparent" {
				context = string(header.Value)
			}
		}
		told := work.Hand(asked, m.Topic, m.Partition, m.Offset, context)
		return []work.Given{{Told: told, Record: m}}, nil
	case <-c.session.Context().Done():
		return nil, work.Closed
	}
}

func (c *consumer) Settle(all []work.Given) error {
	for _, m := range all {
		c.session.MarkMessage(m.Record.(*sarama.ConsumerMessage), "")
	}
	if !marks(c.plan) {
		c.session.Commit()
	}
	return nil
}

func (c *consumer) Send(topic string, of work.Given) (*work.Place, error) {
	letter := &sarama.ProducerMessage{Topic: topic, Value: sarama.ByteEncoder(of.Record.(*sarama.ConsumerMessage).Value)}
	if c.plan.Pattern == "input" {
		return c.placed(letter)
	}
	partition, offset, err := c.producer.SendMessage(letter)
	return &work.Place{Topic: topic, Partition: partition, Offset: offset}, err
}

// The claims share a producer: a success may be another's.
func (c *consumer) placed(letter *sarama.ProducerMessage) (*work.Place, error) {
	place := make(chan *work.Place, 1)
	letter.Metadata = place
	c.input.Input() <- letter
	for {
		select {
		case m := <-c.input.Successes():
			m.Metadata.(chan *work.Place) <- &work.Place{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset}
		case failed := <-c.input.Errors():
			return nil, failed.Err
		case placed := <-place:
			return placed, nil
		}
	}
}

func (c *consumer) Close() error { return nil }
