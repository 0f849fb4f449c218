// load writes messages to a topic at a fixed rate and reads them back, and measures how long each took.
//
// The rate is that of a customer who does not wait: a message is due at its time whether or not earlier ones are done, and its
// latency counts from then. Commands come line by line on standard input:
//
//	rate N      offer N messages a second from now on; 0 as many as go, -1 none
//	window      print what was measured since the last window, as one JSON line
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

var (
	brokers = flag.String("brokers", "", "host:port,...")
	topic   = flag.String("topic", "", "topic")
	ca      = flag.String("ca", "", "certificate authority, PEM")
	size    = flag.Int("size", 1024, "bytes of a value")
	codec   = flag.String("codec", "none", "none, gzip, snappy, lz4, zstd")
	group   = flag.String("group", "", "read as a member of this group, which commits")
)

type window struct {
	Seconds   float64    `json:"seconds"`
	Offered   int64      `json:"offered"`
	Acked     int64      `json:"acked"`
	Consumed  int64      `json:"consumed"`
	AckMicros [3]float64 `json:"ack_micros"` // p50, p99, p99.9
	EndMicros [3]float64 `json:"end_micros"` // offered to read back
}

type load struct {
	client  *kgo.Client
	value   []byte
	began   time.Time
	rate    atomic.Int64
	offered atomic.Int64
	acked   latencies
	read    latencies
}

func main() {
	flag.Parse()
	client, err := connect()
	if err != nil {
		log.Fatal(err)
	}
	l := &load{client: client, value: make([]byte, *size), began: time.Now()}
	l.rate.Store(-1)
	for i := range l.value {
		l.value[i] = byte(rand.Uint32())
	}
	go l.produce()
	go l.consume()
	if err := l.commands(); err != nil {
		log.Fatal(err)
	}
}

func connect() (*kgo.Client, error) {
	pem, err := os.ReadFile(*ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", *ca)
	}
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(),
		"zstd": kgo.ZstdCompression(),
	}
	chosen, known := codecs[*codec]
	if !known {
		return nil, fmt.Errorf("no codec is called %q", *codec)
	}
	login := scram.Auth{User: os.Getenv("KAFKA_USERNAME"), Pass: os.Getenv("KAFKA_PASSWORD")}
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(*brokers, ",")...), kgo.ClientID("load"), kgo.DialTLSConfig(&tls.Config{RootCAs: pool}),
		kgo.SASL(login.AsSha512Mechanism()), kgo.DefaultProduceTopic(*topic), kgo.ProducerBatchCompression(chosen),
		kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(1<<20), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.ConsumeTopics(*topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
	}
	if *group != "" {
		options = append(options, kgo.ConsumerGroup(*group), kgo.AutoCommitInterval(time.Second))
	}
	return kgo.NewClient(options...)
}

// produce offers each message when it is due, in steps of a millisecond.
func (l *load) produce() {
	for {
		rate := l.rate.Load()
		switch {
		case rate < 0:
			time.Sleep(time.Millisecond)
		case rate == 0:
			l.saturate()
		default:
			l.pace(rate)
		}
	}
}

func (l *load) pace(rate int64) {
	start := time.Now()
	for sent := int64(0); l.rate.Load() == rate; time.Sleep(time.Millisecond) {
		for due := int64(time.Since(start).Seconds() * float64(rate)); sent < due; sent++ {
			l.send(start.Add(time.Duration(float64(sent) / float64(rate) * 1e9)))
		}
	}
}

// saturate keeps the client's buffer full.
func (l *load) saturate() {
	for l.rate.Load() == 0 {
		if l.client.BufferedProduceRecords() > 20_000 {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		for range 500 {
			l.send(time.Now())
		}
	}
}

func (l *load) send(due time.Time) {
	value := make([]byte, len(l.value))
	copy(value, l.value)
	binary.LittleEndian.PutUint64(value, uint64(due.Sub(l.began)))
	l.offered.Add(1)
	l.client.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
		if err != nil {
			log.Fatal(err)
		}
		l.acked.add(time.Since(due))
	})
}

func (l *load) consume() {
	for {
		fetches := l.client.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			if errors.Is(err, kgo.ErrClientClosed) {
				return
			}
			log.Fatal(err)
		}
		now := time.Since(l.began)
		fetches.EachRecord(func(r *kgo.Record) { l.read.add(now - time.Duration(binary.LittleEndian.Uint64(r.Value))) })
	}
}

func (l *load) commands() error {
	since := time.Now()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 2 && words[0] == "rate":
			rate, err := strconv.ParseInt(words[1], 10, 64)
			if err != nil {
				return err
			}
			l.rate.Store(rate)
			fmt.Println("{}")
		case len(words) == 1 && words[0] == "window":
			w := window{Seconds: time.Since(since).Seconds(), Offered: l.offered.Swap(0)}
			since = time.Now()
			w.Acked, w.AckMicros = l.acked.take()
			w.Consumed, w.EndMicros = l.read.take()
			text, err := json.Marshal(w)
			if err != nil {
				return err
			}
			fmt.Println(string(text))
		default:
			return fmt.Errorf("not a command: %s", lines.Text())
		}
	}
	return lines.Err()
}
