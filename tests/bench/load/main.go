// load writes messages to a topic at a fixed rate and reads them back, and measures how long each took.
//
// The rate is that of a customer who does not wait: a message is due at its time whether or not earlier ones are done, and its
// latency counts from then. With -again it writes nothing, and reads what the topic holds at that rate, over and over. Commands come
// line by line on standard input:
//
//	rate N      offer N messages a second from now on; 0 as many as go, -1 none
//	window      print what was measured since the last window, as one JSON line
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	brokers = flag.String("brokers", "", "host:port,...")
	topic   = flag.String("topic", "", "topic")
	ca      = flag.String("ca", "", "certificate authority, PEM")
	size    = flag.Int("size", 1024, "bytes of a value")
	codec   = flag.String("codec", "none", "none, gzip, snappy, lz4, zstd")
	group   = flag.String("group", "", "read as a member of this group, which commits")
	name    = flag.String("library", "franz", "franz, sarama, segmentio, confluent")
	listens = flag.Bool("listens", false, "let others connect, as a service does")
	again   = flag.Bool("again", false, "read the topic from its start, over and over (segmentio)")
)

// A client library, called as its users call it: message by message where it allows that.
type library interface {
	// send hands a message over without waiting.
	send(value []byte, acked func(error))
	// read gives each message to got, until it fails.
	read(got func(value []byte)) error
}

type login struct {
	brokers        []string
	tls            *tls.Config
	user, password string
}

var libraries = map[string]func(login) (library, error){
	"franz": openFranz, "sarama": openSarama, "segmentio": openSegmentio, "confluent": openConfluent,
}

type window struct {
	Seconds   float64    `json:"seconds"`
	Offered   int64      `json:"offered"`
	Acked     int64      `json:"acked"`
	Consumed  int64      `json:"consumed"`
	AckMicros [3]float64 `json:"ack_micros"` // p50, p99, p99.9
	EndMicros [3]float64 `json:"end_micros"` // offered to read back
}

type load struct {
	client  library
	value   []byte
	began   time.Time
	rate    atomic.Int64
	offered atomic.Int64
	flying  atomic.Int64
	acked   latencies
	read    latencies
}

func main() {
	flag.Parse()
	client, err := connect()
	if err != nil {
		log.Fatal(err)
	}
	if *listens {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		defer listener.Close()
	}
	l := &load{client: client, value: make([]byte, *size), began: time.Now()}
	l.rate.Store(-1)
	for i := range l.value {
		l.value[i] = byte(rand.Uint32())
	}
	if !*again {
		go l.produce()
	}
	go l.consume()
	if err := l.commands(); err != nil {
		log.Fatal(err)
	}
}

func connect() (library, error) {
	pem, err := os.ReadFile(*ca)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", *ca)
	}
	open, known := libraries[*name]
	if !known {
		return nil, fmt.Errorf("no library is called %q", *name)
	}
	return open(login{
		brokers: strings.Split(*brokers, ","), tls: &tls.Config{RootCAs: pool},
		user: os.Getenv("KAFKA_USERNAME"), password: os.Getenv("KAFKA_PASSWORD"),
	})
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
		if l.flying.Load() > 20_000 {
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
	l.flying.Add(1)
	l.client.send(value, func(err error) {
		if err != nil {
			log.Fatal(err)
		}
		l.flying.Add(-1)
		l.acked.add(time.Since(due))
	})
}

func (l *load) consume() {
	pace := pacer{rate: &l.rate}
	err := l.client.read(func(value []byte) {
		if *again {
			pace.wait()
			l.read.add(0)
			return
		}
		l.read.add(time.Since(l.began) - time.Duration(binary.LittleEndian.Uint64(value)))
	})
	log.Fatal(err)
}

// pacer lets messages through at a rate, whoever asks.
type pacer struct {
	lock  sync.Mutex
	rate  *atomic.Int64
	now   int64
	since time.Time
	sent  int64
}

func (p *pacer) wait() {
	for {
		p.lock.Lock()
		rate := p.rate.Load()
		if rate != p.now {
			p.now, p.since, p.sent = rate, time.Now(), 0
		}
		// The clock is looked at each 16 messages only.
		pass := rate == 0 || rate > 0 && (p.sent%16 != 0 || p.sent < int64(time.Since(p.since).Seconds()*float64(rate)))
		if pass {
			p.sent++
		}
		p.lock.Unlock()
		if pass {
			return
		}
		time.Sleep(time.Millisecond)
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
