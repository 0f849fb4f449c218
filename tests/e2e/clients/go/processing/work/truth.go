package work

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// Message is what the truth says of one.
type Message struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Context is its traceparent header; empty: it has none.
	Context string `json:"context"`
	// Goroutine asked for it.
	Goroutine int64 `json:"goroutine"`
	// Nanoseconds of CLOCK_MONOTONIC: before the call that gave it, after it; before the call that ended the work, after it. Those of the end are 0 when
	// nothing did.
	Asked   int64 `json:"asked"`
	Began   int64 `json:"began"`
	Ended   int64 `json:"ended"`
	Settled int64 `json:"settled"`
	// Worked is when a goroutine began to work on it.
	Worked int64 `json:"worked"`
	// Failed: it was sent to the dead letters, or its handler panicked or ended its goroutine.
	Failed bool `json:"failed"`
	// Sent is what was produced while it was in hand.
	Sent *Place `json:"sent,omitempty"`
}

// Place of a record.
type Place struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// Truth is the file of what was done. Each line is in the file before the program goes on: it may crash.
type Truth struct {
	lock sync.Mutex
	file *os.File
	left int
	// Over is closed when all is done.
	Over chan struct{}
}

func newTruth(plan *Plan) (*Truth, error) {
	file, err := os.Create(plan.Truth)
	return &Truth{file: file, left: plan.Records, Over: make(chan struct{})}, err
}

// Done writes messages down. True: the last is done.
func (t *Truth) Done(messages ...*Message) bool {
	t.lock.Lock()
	defer t.lock.Unlock()
	for _, m := range messages {
		line, err := json.Marshal(m)
		if err == nil {
			_, err = t.file.Write(append(line, '\n'))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if t.left--; t.left == 0 {
			close(t.Over)
		}
	}
	return t.left <= 0
}

// Now is CLOCK_MONOTONIC, which time.Now does not show.
func Now() int64 {
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return now.Nano()
}

// Goroutine is the id of the one that calls.
func Goroutine() int64 {
	var text [64]byte
	words := bytes.Fields(text[:runtime.Stack(text[:], false)])
	id, _ := strconv.ParseInt(string(words[1]), 10, 64)
	return id
}
