// sarama is a group member on IBM/sarama. Records are pushed; they wait in a channel until they are wanted.
package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"

	"obi.test/clients/groups/member"
)

func main() { member.Main(open) }

type client struct {
	plan     *member.Plan
	log      *member.Log
	group    sarama.ConsumerGroup
	stop     context.CancelFunc
	ended    chan struct{}
	records  chan *member.Record
	producer sarama.AsyncProducer

	lock    sync.Mutex
	session sarama.ConsumerGroupSession
}

func open(plan *member.Plan, log *member.Log) (member.Library, error) {
	config, err := configure(plan)
	if err != nil {
		return nil, err
	}
	c := &client{plan: plan, log: log, records: make(chan *member.Record)}
	if plan.TransactionalID != "" {
		if c.producer, err = sarama.NewAsyncProducer(plan.Brokers, config); err != nil {
			return nil, err
		}
	}
	if plan.Group == "" {
		return c, nil
	}
	if c.group, err = sarama.NewConsumerGroup(plan.Brokers, plan.Group, config); err != nil {
		return nil, err
	}
	var ctx context.Context
	ctx, c.stop = context.WithCancel(context.Background())
	c.ended = make(chan struct{})
	go func() {
		defer close(c.ended)
		for ctx.Err() == nil {
			// It ends at each rebalance. An error is told by the group's channel too.
			if err := c.group.Consume(ctx, plan.Topics, c); err != nil {
				time.Sleep(100 * time.Millisecond)
			}
		}
	}()
	return c, nil
}

func configure(plan *member.Plan) (*sarama.Config, error) {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.ClientID = plan.ClientID
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = plan.Commit == "auto"
	config.Consumer.Return.Errors = true
	config.Consumer.MaxProcessingTime = time.Minute
	config.Consumer.Group.InstanceId = plan.InstanceID
	config.Consumer.Group.Session.Timeout = plan.SessionTimeout()
	config.Consumer.Group.Heartbeat.Interval = plan.SessionTimeout() / 6
	strategies := map[string]func() sarama.BalanceStrategy{
		"roundrobin": sarama.NewBalanceStrategyRoundRobin, "sticky": sarama.NewBalanceStrategySticky,
	}
	if strategy, ok := strategies[plan.Assignor]; ok {
		config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy()}
	}
	if plan.Isolation == "read_committed" {
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	if plan.TransactionalID != "" {
		config.Producer.Transaction.ID = plan.TransactionalID
		config.Producer.Transaction.Timeout = 30 * time.Second
		config.Producer.Idempotent = true
		config.Producer.RequiredAcks = sarama.WaitForAll
		config.Producer.Return.Successes = true
		config.Producer.Partitioner = sarama.NewManualPartitioner
		config.Net.MaxOpenRequests = 1
	}
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
	return config, nil
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

// Setup, Cleanup and ConsumeClaim are sarama's interface of a group's member.
func (c *client) Setup(session sarama.ConsumerGroupSession) error {
	c.lock.Lock()
	c.session = session
	c.lock.Unlock()
	c.log.Assigned(places(session))
	return nil
}

func (c *client) Cleanup(session sarama.ConsumerGroupSession) error {
	c.log.Revoked(places(session))
	return nil
}

func (c *client) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		select {
		case c.records <- &member.Record{Place: member.Place{Topic: m.Topic, Partition: m.Partition}, Offset: m.Offset}:
		case <-session.Context().Done():
			return nil
		}
	}
	return nil
}

func places(session sarama.ConsumerGroupSession) []member.Place {
	var out []member.Place
	for topic, partitions := range session.Claims() {
		for _, partition := range partitions {
			out = append(out, member.Place{Topic: topic, Partition: partition})
		}
	}
	return out
}

func (c *client) Poll(wait time.Duration, take bool) (*member.Record, error) {
	records := c.records
	if !take {
		records = nil
	}
	var failures <-chan error
	if c.group != nil {
		failures = c.group.Errors()
	}
	select {
	case record := <-records:
		return record, nil
	case err := <-failures:
		return nil, named(err)
	case <-time.After(wait):
		return nil, nil
	}
}

func (c *client) Commit(offsets []member.Offset) error {
	c.lock.Lock()
	session := c.session
	c.lock.Unlock()
	for _, o := range offsets {
		session.MarkOffset(o.Topic, o.Partition, o.Value, "")
	}
	session.Commit()
	// A commit returns nothing: what the broker refused comes by the group's channel, handed on by another goroutine.
	select {
	case err := <-c.group.Errors():
		return named(err)
	case <-time.After(200 * time.Millisecond):
		return nil
	}
}

func named(err error) error {
	var known sarama.KError
	if errors.As(err, &known) && known > 0 {
		return errors.New(member.ErrorName(int(known)))
	}
	return err
}

func (c *client) Begin() error { return c.producer.BeginTxn() }

func (c *client) Produce(n int) error {
	go func() {
		for i := range n {
			c.producer.Input() <- &sarama.ProducerMessage{
				Topic: c.plan.OutTopic, Partition: int32(i) % c.plan.OutPartitions, Key: sarama.ByteEncoder(member.Key(i)),
				Value: sarama.StringEncoder("x"),
			}
		}
	}()
	var failed error
	for range n {
		select {
		case <-c.producer.Successes():
		case refused := <-c.producer.Errors():
			failed = named(refused.Err)
		}
	}
	return failed
}

func (c *client) SendOffsets(offsets []member.Offset) error {
	wanted := map[string][]*sarama.PartitionOffsetMetadata{}
	for _, o := range offsets {
		wanted[o.Topic] = append(wanted[o.Topic], &sarama.PartitionOffsetMetadata{Partition: o.Partition, Offset: o.Value})
	}
	return named(c.producer.AddOffsetsToTxn(wanted, c.plan.Group))
}

func (c *client) End(commit bool) error {
	if commit {
		return named(c.producer.CommitTxn())
	}
	return named(c.producer.AbortTxn())
}

func (c *client) Close() error {
	var failed error
	if c.group != nil {
		c.stop()
		<-c.ended
		failed = c.group.Close()
	}
	if c.producer != nil {
		failed = errors.Join(failed, c.producer.Close())
	}
	return failed
}
