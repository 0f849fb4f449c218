// feed produces the records that the other programs process: small, over three partitions, two of three with a trace context of their own.
package main

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"obi.test/processing/work"
)

func main() { work.Main(run) }

func run(plan *work.Plan, _ *work.Truth) error {
	config, err := plan.TLSConfig()
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(plan.Brokers...), kgo.ClientID(plan.ClientID), kgo.DialTLSConfig(config),
		kgo.SASL(plain.Auth{User: plan.User, Pass: plan.Password}.AsMechanism()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	var records []*kgo.Record
	for n := 0; n < plan.Records; n++ {
		record := &kgo.Record{Topic: plan.Topic, Partition: int32(n % 3), Key: []byte(fmt.Sprint("key-", n)), Value: []byte(fmt.Sprint("order ", n))}
		if n%9 > 2 {
			var id [24]byte
			if _, err := rand.Read(id[:]); err != nil {
				return err
			}
			context := fmt.Sprintf("00-%x-%x-01", id[:16], id[16:])
			record.Headers = []kgo.RecordHeader{{Key: "traceparent", Value: []byte(context)}}
		}
		records = append(records, record)
	}
	return client.ProduceSync(context.Background(), records...).FirstErr()
}
