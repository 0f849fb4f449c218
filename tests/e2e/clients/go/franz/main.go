// franz is a golden client on twmb/franz-go.
package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"obi.test/clients/golden"
)

func main() { golden.Main(open) }

type client struct {
	plan    *golden.Plan
	options []kgo.Opt
	// Made when first needed: small batches, large batches, consumer.
	small, large, reader *kgo.Client
	intervals            *golden.Lines
}

func open(plan *golden.Plan) (golden.Client, error) {
	c := &client{plan: plan}
	c.options = []kgo.Opt{kgo.SeedBrokers(plan.Brokers...), kgo.ClientID(plan.ClientID)}
	if plan.TLS {
		config, err := plan.TLSConfig()
		if err != nil {
			return nil, err
		}
		c.options = append(c.options, kgo.SASL(mechanism(plan)))
		if plan.Intervals == "" {
			c.options = append(c.options, kgo.DialTLSConfig(config))
		} else {
			if c.intervals, err = golden.Create(plan.Intervals); err != nil {
				return nil, err
			}
			watch := &watcher{lines: c.intervals, config: config}
			c.options = append(c.options, kgo.Dialer(watch.dial), kgo.WithHooks(watch))
		}
	}
	return c, nil
}

func mechanism(plan *golden.Plan) sasl.Mechanism {
	if plan.Mechanism == "PLAIN" {
		return plain.Auth{User: plan.User, Pass: plan.Password}.AsMechanism()
	}
	return scram.Auth{User: plan.User, Pass: plan.Password}.AsSha512Mechanism()
}

func (c *client) producer(large bool) (*kgo.Client, error) {
	slot, batch, linger := &c.small, int32(64<<10), time.Millisecond
	if large {
		// Long enough for all records of one command to be there: they leave as one request.
		slot, batch, linger = &c.large, 8<<20, 200*time.Millisecond
	}
	if *slot != nil {
		return *slot, nil
	}
	codec := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[c.plan.Codec]
	made, err := kgo.NewClient(append(c.options, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec),
		kgo.ProducerBatchMaxBytes(batch), kgo.ProducerLinger(linger), kgo.MaxBufferedRecords(100_000))...)
	*slot = made
	return made, err
}

func (c *client) Produce(records []golden.Record, large bool, acked func(*golden.Record, int64)) error {
	producer, err := c.producer(large)
	if err != nil {
		return err
	}
	var lock sync.Mutex
	var failed error
	for i := range records {
		record := &records[i]
		out := &kgo.Record{Topic: record.Topic, Partition: record.Partition, Key: record.Key, Value: record.Value}
		for _, h := range record.Headers {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)})
		}
		producer.Produce(context.Background(), out, func(done *kgo.Record, err error) {
			if err == nil {
				acked(record, done.Offset)
				return
			}
			lock.Lock()
			defer lock.Unlock()
			failed = errors.Join(failed, err)
		})
	}
	if err := producer.Flush(context.Background()); err != nil {
		return err
	}
	if c.intervals != nil {
		return errors.Join(failed, c.intervals.Flush())
	}
	return failed
}

func (c *client) Consume(topics []string, n int, got func(*golden.Record, int64)) error {
	if c.reader == nil {
		options := append(c.options, kgo.FetchMaxBytes(120<<20), kgo.FetchMaxPartitionBytes(64<<20), kgo.BrokerMaxReadBytes(200<<20),
			kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if c.plan.Group != "" {
			options = append(options, kgo.ConsumerGroup(c.plan.Group))
		}
		made, err := kgo.NewClient(options...)
		if err != nil {
			return err
		}
		c.reader = made
	}
	for n > 0 {
		fetches := c.reader.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			record := golden.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value}
			for _, h := range r.Headers {
				record.Headers = append(record.Headers, golden.Header{Key: h.Key, Value: string(h.Value)})
			}
			got(&record, r.Offset)
			n--
		})
	}
	return nil
}

func (c *client) Close() error {
	for _, client := range []*kgo.Client{c.small, c.large, c.reader} {
		if client != nil {
			client.Close()
		}
	}
	if c.intervals != nil {
		return c.intervals.Flush()
	}
	return nil
}
