// confluent is a group member on confluent-kafka-go: librdkafka, whose rebalances are served by poll.
package main

import (
	"errors"
	"strings"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"obi.test/clients/groups/member"
)

func main() { member.Main(open) }

type client struct {
	log    *member.Log
	reader *kafka.Consumer
	taking bool
}

func open(plan *member.Plan, log *member.Log) (member.Library, error) {
	config := kafka.ConfigMap{
		"bootstrap.servers": strings.Join(plan.Brokers, ","), "client.id": plan.ClientID, "group.id": plan.Group,
		"auto.offset.reset": "earliest", "enable.auto.commit": plan.Commit == "auto", "auto.commit.interval.ms": 1000,
		"max.poll.interval.ms": plan.MaxPollIntervalMS,
	}
	if plan.Isolation != "" {
		config["isolation.level"] = plan.Isolation
	}
	if plan.TLS {
		config["security.protocol"], config["ssl.ca.location"] = "SASL_SSL", plan.CA
		config["sasl.mechanism"], config["sasl.username"], config["sasl.password"] = plan.Mechanism, plan.User, plan.Password
	}
	if plan.Protocol == "consumer" {
		config["group.protocol"] = "consumer"
	} else {
		config["session.timeout.ms"], config["heartbeat.interval.ms"] = plan.SessionTimeoutMS, plan.SessionTimeoutMS/6
		if plan.Assignor != "" {
			config["partition.assignment.strategy"] = plan.Assignor
		}
	}
	if plan.InstanceID != "" {
		config["group.instance.id"] = plan.InstanceID
	}
	reader, err := kafka.NewConsumer(&config)
	if err != nil {
		return nil, err
	}
	c := &client{log: log, reader: reader}
	return c, reader.SubscribeTopics(plan.Topics, c.rebalanced)
}

func (c *client) rebalanced(_ *kafka.Consumer, event kafka.Event) error {
	incremental := c.reader.GetRebalanceProtocol() == "COOPERATIVE"
	switch event := event.(type) {
	case kafka.AssignedPartitions:
		assign := c.reader.Assign
		if incremental {
			assign = c.reader.IncrementalAssign
		}
		if err := assign(event.Partitions); err != nil {
			return err
		}
		c.log.Assigned(places(event.Partitions))
		if !c.taking {
			return c.reader.Pause(event.Partitions)
		}
	case kafka.RevokedPartitions:
		if c.reader.AssignmentLost() {
			c.log.Lost(places(event.Partitions))
		} else {
			c.log.Revoked(places(event.Partitions))
		}
		if incremental {
			return c.reader.IncrementalUnassign(event.Partitions)
		}
		return c.reader.Unassign()
	}
	return nil
}

func places(partitions []kafka.TopicPartition) []member.Place {
	var out []member.Place
	for _, p := range partitions {
		out = append(out, member.Place{Topic: *p.Topic, Partition: p.Partition})
	}
	return out
}

func (c *client) Poll(wait time.Duration, take bool) (*member.Record, error) {
	if take != c.taking {
		if err := c.take(take); err != nil {
			return nil, err
		}
	}
	switch event := c.reader.Poll(int(wait / time.Millisecond)).(type) {
	case *kafka.Message:
		p := event.TopicPartition
		if p.Error != nil {
			return nil, named(p.Error)
		}
		return &member.Record{Place: member.Place{Topic: *p.Topic, Partition: p.Partition}, Offset: int64(p.Offset)}, nil
	case kafka.OffsetsCommitted:
		c.log.Committed(offsets(event.Offsets), named(event.Error), true)
	case kafka.Error:
		return nil, named(event)
	}
	return nil, nil
}

// Partitions are paused while no record is wanted: poll would hand them out.
func (c *client) take(take bool) error {
	c.taking = take
	held, err := c.reader.Assignment()
	if err != nil || len(held) == 0 {
		return err
	}
	if take {
		return c.reader.Resume(held)
	}
	return c.reader.Pause(held)
}

func offsets(partitions []kafka.TopicPartition) []member.Offset {
	out := []member.Offset{}
	for _, p := range partitions {
		// Librdkafka lists partitions that it has nothing to commit for.
		if p.Offset >= 0 {
			out = append(out, member.Offset{Place: member.Place{Topic: *p.Topic, Partition: p.Partition}, Value: int64(p.Offset)})
		}
	}
	return out
}

func (c *client) Commit(offsets []member.Offset) error {
	var wanted []kafka.TopicPartition
	for _, o := range offsets {
		wanted = append(wanted, kafka.TopicPartition{Topic: &o.Topic, Partition: o.Partition, Offset: kafka.Offset(o.Value)})
	}
	answered, err := c.reader.CommitOffsets(wanted)
	for _, p := range answered {
		if err == nil {
			err = p.Error
		}
	}
	return named(err)
}

func named(err error) error {
	var known kafka.Error
	// Librdkafka's own errors are negative and have no name in Kafka.
	if errors.As(err, &known) && known.Code() > 0 {
		return errors.New(member.ErrorName(int(known.Code())))
	}
	return err
}

func (c *client) Close() error { return c.reader.Close() }
