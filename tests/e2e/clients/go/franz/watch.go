package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"obi.test/clients/golden"
)

// watcher writes down when each request was written and answered, in nanoseconds of CLOCK_MONOTONIC, the clock of the kernel.
// The connection sees correlation ids, the hook only the client's own duration of the same exchange, which holds both.
type watcher struct {
	lines  *golden.Lines
	config *tls.Config
}

type interval struct {
	APIKey        int16  `json:"api_key"`
	CorrelationID uint32 `json:"correlation_id"`
	// Before the call of Write, after the Read that ended the answer.
	Began int64 `json:"began"`
	Ended int64 `json:"ended"`
}

type hooked struct {
	APIKey int16 `json:"hook_api_key"`
	// As franz-go measures it: write begun to answer read.
	Nanos int64 `json:"nanos"`
}

func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err)
	}
	return t.Nano()
}

// OnBrokerE2E is franz-go's hook for an exchange that has ended.
func (w *watcher) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	_ = w.lines.Add(hooked{APIKey: key, Nanos: int64(e2e.DurationE2E() / time.Nanosecond)})
}

func (w *watcher) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := tls.Dialer{Config: w.config}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &watched{Conn: conn, lines: w.lines, pending: map[uint32]interval{}}, nil
}

type watched struct {
	net.Conn
	lines   *golden.Lines
	lock    sync.Mutex
	pending map[uint32]interval
	// What is known of the answer being read: its first 8 bytes, then how much is left.
	head []byte
	left int
}

// Write gets one whole request at a time from franz-go.
func (c *watched) Write(p []byte) (int, error) {
	if len(p) >= 12 {
		id := binary.BigEndian.Uint32(p[8:])
		c.lock.Lock()
		c.pending[id] = interval{APIKey: int16(binary.BigEndian.Uint16(p[4:])), CorrelationID: id, Began: now()}
		c.lock.Unlock()
	}
	return c.Conn.Write(p)
}

func (c *watched) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	ended := now()
	for rest := p[:n]; len(rest) > 0; {
		if len(c.head) < 8 {
			take := min(8-len(c.head), len(rest))
			c.head = append(c.head, rest[:take]...)
			rest = rest[take:]
			if len(c.head) < 8 {
				break
			}
			c.left = int(binary.BigEndian.Uint32(c.head)) - 4
		}
		take := min(c.left, len(rest))
		c.left -= take
		rest = rest[take:]
		if c.left == 0 {
			c.answered(binary.BigEndian.Uint32(c.head[4:]), ended)
			c.head = c.head[:0]
		}
	}
	return n, err
}

func (c *watched) answered(id uint32, ended int64) {
	c.lock.Lock()
	defer c.lock.Unlock()
	if i, ok := c.pending[id]; ok {
		delete(c.pending, id)
		i.Ended = ended
		_ = c.lines.Add(i)
	}
}
