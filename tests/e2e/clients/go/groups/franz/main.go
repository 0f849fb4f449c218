// franz is a group member on twmb/franz-go. Its heartbeats and rebalances go on whether the application polls or not.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"obi.test/clients/groups/member"
)

func main() { member.Main(open) }

type client struct {
	plan *member.Plan
	log  *member.Log
	kgo  *kgo.Client
	// Set for a member that produces what it reads: offsets are a part of its transactions.
	session *kgo.GroupTransactSession
}

func open(plan *member.Plan, log *member.Log) (member.Library, error) {
	options, err := connect(plan)
	if err != nil {
		return nil, err
	}
	if plan.TransactionalID != "" {
		options = append(options, kgo.TransactionalID(plan.TransactionalID), kgo.TransactionTimeout(30*time.Second),
			kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	if plan.Group != "" {
		options = append(options, join(plan, log)...)
	}
	c := &client{plan: plan, log: log}
	if plan.Group != "" && plan.TransactionalID != "" {
		c.session, err = kgo.NewGroupTransactSession(options...)
		if err == nil {
			c.kgo = c.session.Client()
		}
		return c, err
	}
	c.kgo, err = kgo.NewClient(options...)
	return c, err
}

func connect(plan *member.Plan) ([]kgo.Opt, error) {
	// An agent that comes late learns the names of topic ids from the next answer.
	names := []kgo.Opt{kgo.MetadataMinAge(time.Second / 2), kgo.MetadataMaxAge(time.Second)}
	options := append(names, kgo.SeedBrokers(plan.Brokers...), kgo.ClientID(plan.ClientID))
	if !plan.TLS {
		return options, nil
	}
	config, err := plan.TLSConfig()
	if err != nil {
		return nil, err
	}
	login := scram.Auth{User: plan.User, Pass: plan.Password}.AsSha512Mechanism()
	if plan.Mechanism == "PLAIN" {
		login = plain.Auth{User: plan.User, Pass: plan.Password}.AsMechanism()
	}
	return append(options, kgo.DialTLSConfig(config), kgo.SASL(login)), nil
}

func join(plan *member.Plan, log *member.Log) []kgo.Opt {
	tell := func(how func([]member.Place)) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) { how(places(partitions)) }
	}
	options := []kgo.Opt{
		kgo.ConsumerGroup(plan.Group), kgo.ConsumeTopics(plan.Topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(tell(log.Assigned)), kgo.OnPartitionsRevoked(tell(log.Revoked)), kgo.OnPartitionsLost(tell(log.Lost)),
		kgo.SessionTimeout(plan.SessionTimeout()), kgo.HeartbeatInterval(plan.SessionTimeout() / 6),
	}
	balancers := map[string]kgo.GroupBalancer{
		"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(), "sticky": kgo.StickyBalancer(),
		"cooperative-sticky": kgo.CooperativeStickyBalancer(),
	}
	if balancer, ok := balancers[plan.Assignor]; ok {
		options = append(options, kgo.Balancers(balancer))
	}
	if plan.Protocol == "consumer" {
		options = append(options, kgo.ServerSideBalancer(), kgo.Balancers(kgo.RangeBalancer()))
	}
	if plan.InstanceID != "" {
		options = append(options, kgo.InstanceID(plan.InstanceID))
	}
	if plan.Isolation == "read_committed" {
		options = append(options, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	if plan.TransactionalID != "" {
		return options
	}
	if plan.Commit == "auto" {
		return append(options, kgo.AutoCommitInterval(time.Second), kgo.AutoCommitCallback(
			func(_ *kgo.Client, request *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
				log.Committed(sent(request), refused(answer, err), true)
			}))
	}
	return append(options, kgo.DisableAutoCommit())
}

func places(partitions map[string][]int32) []member.Place {
	var out []member.Place
	for topic, numbers := range partitions {
		for _, partition := range numbers {
			out = append(out, member.Place{Topic: topic, Partition: partition})
		}
	}
	return out
}

func (c *client) Poll(wait time.Duration, take bool) (*member.Record, error) {
	if !take {
		time.Sleep(wait)
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	// Through the session where there is one: both are the same client.
	fetches := c.kgo.PollRecords(ctx, 1)
	if err := fetches.Err0(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	for _, r := range fetches.Records() {
		return &member.Record{Place: member.Place{Topic: r.Topic, Partition: r.Partition}, Offset: r.Offset}, nil
	}
	return nil, nil
}

func (c *client) Commit(offsets []member.Offset) error {
	wanted := map[string]map[int32]kgo.EpochOffset{}
	for _, o := range offsets {
		if wanted[o.Topic] == nil {
			wanted[o.Topic] = map[int32]kgo.EpochOffset{}
		}
		wanted[o.Topic][o.Partition] = kgo.EpochOffset{Epoch: -1, Offset: o.Value}
	}
	var failed error
	c.kgo.CommitOffsetsSync(context.Background(), wanted,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
			failed = refused(answer, err)
		})
	return failed
}

func sent(request *kmsg.OffsetCommitRequest) []member.Offset {
	var out []member.Offset
	for _, topic := range request.Topics {
		for _, p := range topic.Partitions {
			out = append(out, member.Offset{Place: member.Place{Topic: topic.Topic, Partition: p.Partition}, Value: p.Offset})
		}
	}
	return out
}

// refused is the first error of an answer, by Kafka's name.
func refused(answer *kmsg.OffsetCommitResponse, err error) error {
	if err != nil {
		return named(err)
	}
	for _, topic := range answer.Topics {
		for _, p := range topic.Partitions {
			if p.ErrorCode != 0 {
				return errors.New(member.ErrorName(int(p.ErrorCode)))
			}
		}
	}
	return nil
}

func named(err error) error {
	if known := new(kerr.Error); errors.As(err, &known) {
		return errors.New(known.Message)
	}
	return err
}

func (c *client) Begin() error {
	if c.session != nil {
		return named(c.session.Begin())
	}
	return named(c.kgo.BeginTransaction())
}

func (c *client) Produce(n int) error {
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Topic: c.plan.OutTopic, Partition: int32(i) % c.plan.OutPartitions, Key: member.Key(i), Value: []byte("x")})
	}
	return named(c.kgo.ProduceSync(context.Background(), records...).FirstErr())
}

// SendOffsets does nothing: a session sends what was polled when its transaction ends.
func (c *client) SendOffsets([]member.Offset) error { return nil }

func (c *client) End(commit bool) error {
	how := kgo.TransactionEndTry(commit)
	if c.session == nil {
		return named(c.kgo.EndTransaction(context.Background(), how))
	}
	committed, err := c.session.End(context.Background(), how)
	if err == nil && committed != commit {
		return errors.New("the session aborted instead")
	}
	return named(err)
}

func (c *client) Close() error {
	if c.session != nil {
		c.session.Close()
	} else {
		c.kgo.Close()
	}
	return nil
}
