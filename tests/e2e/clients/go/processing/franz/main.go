// franz processes messages of twmb/franz-go.
package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"obi.test/processing/work"
)

func main() { work.Main(run) }

type consumer struct {
	plan   *work.Plan
	client *kgo.Client
	// In the pattern transaction.
	session *kgo.GroupTransactSession
}

func run(plan *work.Plan, truth *work.Truth) error {
	config, err := plan.TLSConfig()
	if err != nil {
		return err
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(plan.Brokers...), kgo.ClientID(plan.ClientID), kgo.DialTLSConfig(config),
		kgo.SASL(plain.Auth{User: plan.User, Pass: plan.Password}.AsMechanism()),
		kgo.ConsumerGroup(plan.Group), kgo.ConsumeTopics(plan.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}
	switch plan.Pattern {
	case "auto":
	case "pool", "relay", "async":
		options = append(options, kgo.AutoCommitMarks())
	case "transaction":
		return transactions(plan, truth, options)
	default:
		options = append(options, kgo.DisableAutoCommit())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	return work.Run(plan, truth, &consumer{plan: plan, client: client})
}

func (c *consumer) Fetch(most int) ([]work.Given, error) {
	asked := work.Now()
	fetches := c.client.PollRecords(context.Background(), most)
	return given(asked, fetches), fetches.Err()
}

func given(asked int64, fetches kgo.Fetches) []work.Given {
	began := work.Now()
	var all []work.Given
	fetches.EachRecord(func(r *kgo.Record) {
		context := ""
		for _, header := range r.Headers {
			if header.Key == "traceparent" {
				context = string(header.Value)
			}
		}
		told := work.Hand(asked, r.Topic, r.Partition, r.Offset, context)
		told.Began = began
		all = append(all, work.Given{Told: told, Record: r})
	})
	return all
}

func (c *consumer) Settle(all []work.Given) error {
	var records []*kgo.Record
	for _, m := range all {
		records = append(records, m.Record.(*kgo.Record))
	}
	if c.plan.Pattern == "pool" || c.plan.Pattern == "relay" || c.plan.Pattern == "async" {
		c.client.MarkCommitRecords(records...)
		return nil
	}
	return c.client.CommitRecords(context.Background(), records...)
}

func (c *consumer) Send(topic string, of work.Given) (*work.Place, error) {
	record := of.Record.(*kgo.Record)
	letter := &kgo.Record{Topic: topic, Key: record.Key, Value: record.Value}
	err := c.client.ProduceSync(context.Background(), letter).FirstErr()
	return &work.Place{Topic: topic, Partition: letter.Partition, Offset: letter.Offset}, err
}

func (c *consumer) Close() error {
	c.client.Close()
	return nil
}

// A poll, its results and its offsets are one transaction.
func transactions(plan *work.Plan, truth *work.Truth, options []kgo.Opt) error {
	session, err := kgo.NewGroupTransactSession(append(options, kgo.TransactionalID(plan.ClientID))...)
	if err != nil {
		return err
	}
	defer session.Close()
	for last := false; !last; {
		asked := work.Now()
		fetches := session.PollRecords(context.Background(), 10)
		if err := fetches.Err(); err != nil {
			return err
		}
		all := given(asked, fetches)
		if len(all) == 0 {
			continue
		}
		if err := session.Begin(); err != nil {
			return err
		}
		for _, m := range all {
			m.Told.Worked = work.Now()
			letter := &kgo.Record{Topic: plan.DeadLetters, Value: m.Record.(*kgo.Record).Value}
			if err := session.ProduceSync(context.Background(), letter).FirstErr(); err != nil {
				return err
			}
			m.Told.Sent = &work.Place{Topic: letter.Topic, Partition: letter.Partition, Offset: letter.Offset}
		}
		ended := work.Now()
		if _, err := session.End(context.Background(), kgo.TryCommit); err != nil {
			return err
		}
		settled := work.Now()
		for _, m := range all {
			m.Told.Ended, m.Told.Settled = ended, settled
			last = truth.Done(m.Told)
		}
	}
	return nil
}
