// segmentio is a group member on segmentio/kafka-go, by its ConsumerGroup: its Reader does not tell what it is assigned.
package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"obi.test/clients/groups/member"
)

func main() { member.Main(open) }

type client struct {
	plan    *member.Plan
	log     *member.Log
	dialer  *kafka.Dialer
	group   *kafka.ConsumerGroup
	records chan *member.Record
	failed  chan error

	lock       sync.Mutex
	generation *kafka.Generation
}

func open(plan *member.Plan, log *member.Log) (member.Library, error) {
	dialer := &kafka.Dialer{ClientID: plan.ClientID, Timeout: 10 * time.Second}
	if plan.TLS {
		config, err := plan.TLSConfig()
		if err != nil {
			return nil, err
		}
		if dialer.SASLMechanism, err = mechanism(plan); err != nil {
			return nil, err
		}
		dialer.TLS = config
	}
	balancers := []kafka.GroupBalancer{kafka.RangeGroupBalancer{}}
	if plan.Assignor == "roundrobin" {
		balancers = []kafka.GroupBalancer{kafka.RoundRobinGroupBalancer{}}
	}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: plan.Group, Brokers: plan.Brokers, Dialer: dialer, Topics: plan.Topics, GroupBalancers: balancers,
		SessionTimeout: plan.SessionTimeout(), HeartbeatInterval: plan.SessionTimeout() / 6, StartOffset: kafka.FirstOffset,
	})
	if err != nil {
		return nil, err
	}
	c := &client{plan: plan, log: log, dialer: dialer, group: group, records: make(chan *member.Record), failed: make(chan error, 16)}
	go c.generations()
	return c, nil
}

func mechanism(plan *member.Plan) (sasl.Mechanism, error) {
	if plan.Mechanism == "PLAIN" {
		return plain.Mechanism{Username: plan.User, Password: plan.Password}, nil
	}
	return scram.Mechanism(scram.SHA512, plan.User, plan.Password)
}

func (c *client) generations() {
	for {
		generation, err := c.group.Next(context.Background())
		if errors.Is(err, kafka.ErrGroupClosed) {
			return
		}
		if err != nil {
			c.failed <- err
			continue
		}
		c.begin(generation)
	}
}

func (c *client) begin(generation *kafka.Generation) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.generation = generation
	var held []member.Place
	for topic, partitions := range generation.Assignments {
		for _, p := range partitions {
			held = append(held, member.Place{Topic: topic, Partition: int32(p.ID)})
		}
	}
	c.log.Assigned(held)
	var readers sync.WaitGroup
	for topic, partitions := range generation.Assignments {
		for _, p := range partitions {
			readers.Add(1)
			generation.Start(func(ctx context.Context) {
				defer readers.Done()
				c.read(ctx, topic, p)
			})
		}
	}
	generation.Start(func(ctx context.Context) {
		<-ctx.Done()
		readers.Wait()
		c.log.Revoked(held)
	})
}

func (c *client) read(ctx context.Context, topic string, p kafka.PartitionAssignment) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: c.plan.Brokers, Dialer: c.dialer, Topic: topic, Partition: p.ID, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 500 * time.Millisecond,
	})
	defer reader.Close()
	if err := reader.SetOffset(p.Offset); err != nil {
		c.failed <- err
		return
	}
	for {
		m, err := reader.FetchMessage(ctx)
		if err != nil {
			if ctx.Err() == nil {
				c.failed <- err
			}
			return
		}
		select {
		case c.records <- &member.Record{Place: member.Place{Topic: topic, Partition: int32(m.Partition)}, Offset: m.Offset}:
		case <-ctx.Done():
			return
		}
	}
}

func (c *client) Poll(wait time.Duration, take bool) (*member.Record, error) {
	records := c.records
	if !take {
		records = nil
	}
	select {
	case record := <-records:
		return record, nil
	case err := <-c.failed:
		return nil, err
	case <-time.After(wait):
		return nil, nil
	}
}

func (c *client) Commit(offsets []member.Offset) error {
	c.lock.Lock()
	generation := c.generation
	c.lock.Unlock()
	wanted := map[string]map[int]int64{}
	for _, o := range offsets {
		if wanted[o.Topic] == nil {
			wanted[o.Topic] = map[int]int64{}
		}
		wanted[o.Topic][int(o.Partition)] = o.Value
	}
	err := generation.CommitOffsets(wanted)
	var known kafka.Error
	if errors.As(err, &known) && known > 0 {
		return errors.New(member.ErrorName(int(known)))
	}
	return err
}

func (c *client) Close() error { return c.group.Close() }
