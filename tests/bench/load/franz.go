package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

type franz struct{ client *kgo.Client }

func openFranz(l login) (library, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(),
		"zstd": kgo.ZstdCompression(),
	}
	chosen, known := codecs[*codec]
	if !known {
		return nil, fmt.Errorf("no codec is called %q", *codec)
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(l.brokers...), kgo.ClientID("load"), kgo.DialTLSConfig(l.tls),
		kgo.SASL(scram.Auth{User: l.user, Pass: l.password}.AsSha512Mechanism()), kgo.DefaultProduceTopic(*topic), kgo.ProducerBatchCompression(chosen),
		kgo.ProducerLinger(5 * time.Millisecond), kgo.MaxBufferedRecords(1 << 20), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.ConsumeTopics(*topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
	}
	if *group != "" {
		options = append(options, kgo.ConsumerGroup(*group), kgo.AutoCommitInterval(time.Second))
	}
	client, err := kgo.NewClient(options...)
	return franz{client}, err
}

func (f franz) send(value []byte, acked func(error)) {
	f.client.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) { acked(err) })
}

func (f franz) read(got func([]byte)) error {
	for {
		fetches := f.client.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) { got(r.Value) })
	}
}
