package work

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Given is a message and the library's own form of it.
type Given struct {
	Told   *Message
	Record interface{}
}

// Closed is what Fetch says when there will be no more.
var Closed = errors.New("closed")

// Failed is what a handler of the pattern fails says of some messages, the first time.
var Failed = errors.New("failed")

var failures sync.Map

// Consumer is a client library, used as its documentation shows.
type Consumer interface {
	// Fetch asks once, for at most so many messages where the library has a choice. It may give none.
	Fetch(most int) ([]Given, error)
	// Settle says that these are done: a commit that is waited for, or a mark in the patterns async and pool.
	Settle(all []Given) error
	// Send produces a record and waits for its place.
	Send(topic string, of Given) (*Place, error)
	Close() error
}

// Pattern of work on what a consumer gives. It ends when all of the plan's records are done; the caller closes the consumer, but for those that do.
type pattern func(*Plan, *Truth, Consumer) error

var patterns = map[string]pattern{
	"simple":  func(p *Plan, t *Truth, c Consumer) error { return rounds(p, t, c, 1) },
	"fails":   func(p *Plan, t *Truth, c Consumer) error { return rounds(p, t, c, 1) },
	"retry":   func(p *Plan, t *Truth, c Consumer) error { return rounds(p, t, c, 1) },
	"async":   func(p *Plan, t *Truth, c Consumer) error { return rounds(p, t, c, 1) },
	"channel": func(p *Plan, t *Truth, c Consumer) error { return rounds(p, t, c, 1) },
	"poll":    func(p *Plan, t *Truth, c Consumer) error { return rounds(p, t, c, 1) },
	"results": func(p *Plan, t *Truth, c Consumer) error { return rounds(p, t, c, 1) },
	"input":   func(p *Plan, t *Truth, c Consumer) error { return rounds(p, t, c, 1) },
	"polled":  func(p *Plan, t *Truth, c Consumer) error { return rounds(p, t, c, 50) },
	"batch":   batch, "auto": auto, "pool": pool, "relay": pool,
	"goroutines": goroutines, "panic": panics, "goexit": panics, "crash": crash, "leave": leave,
}

// Run works on what the consumer gives, by the plan's pattern.
func Run(p *Plan, t *Truth, c Consumer) error {
	run, known := patterns[p.Pattern]
	if !known {
		return fmt.Errorf("there is no pattern %q", p.Pattern)
	}
	return run(p, t, c)
}

// Hand puts down what a call gave that began at asked and is over now.
func Hand(asked int64, topic string, partition int32, offset int64, context string) *Message {
	return &Message{
		Topic: topic, Partition: partition, Offset: offset, Context: context, Asked: asked, Began: Now(), Goroutine: Goroutine(),
	}
}

// Go's timers take a millisecond at least.
func pause(length time.Duration) {
	if length < time.Millisecond {
		block(length)
		return
	}
	time.Sleep(length)
}

// The thread sleeps, too.
func block(length time.Duration) {
	span := unix.NsecToTimespec(length.Nanoseconds())
	// What remains of it is of no interest.
	_ = unix.Nanosleep(&span, nil)
}

// Takes the plan's pause once to three times, by the offset. What fails becomes a dead letter; in some patterns each has a result.
func work(p *Plan, c Consumer, m Given) error {
	m.Told.Worked = Now()
	pause(time.Duration(p.Pause*(1+m.Told.Offset%3)) * time.Microsecond)
	switch p.Pattern {
	case "results", "relay", "input":
	case "retry":
		if m.Told.Failed = m.Told.Offset%10 == 0; !m.Told.Failed {
			return nil
		}
	case "fails":
		if m.Told.Offset%30 != 7 {
			return nil
		}
		if _, again := failures.LoadOrStore([2]int64{int64(m.Told.Partition), m.Told.Offset}, true); !again {
			return Failed
		}
		m.Told.Failed = true
		return nil
	default:
		return nil
	}
	place, err := c.Send(p.DeadLetters, m)
	m.Told.Sent = place
	return err
}

// All have been worked on now. True: they were the last.
func settle(t *Truth, c Consumer, all []Given) (bool, error) {
	ended := Now()
	err := c.Settle(all)
	settled := Now()
	var told []*Message
	for _, m := range all {
		if m.Told.Ended == 0 {
			m.Told.Ended = ended
		}
		if m.Told.Settled == 0 {
			m.Told.Settled = settled
		}
		told = append(told, m.Told)
	}
	return t.Done(told...), err
}

// What one call gave is worked on and settled before the next.
func rounds(p *Plan, t *Truth, c Consumer, most int) error {
	for {
		all, err := c.Fetch(most)
		if err != nil {
			return err
		}
		for _, m := range all {
			if err := work(p, c, m); err != nil {
				return err
			}
		}
		if len(all) == 0 {
			continue
		}
		if last, err := settle(t, c, all); last || err != nil {
			return err
		}
	}
}

// Each is worked on when it comes, ten are settled together: the next request ended the work on all but the last.
func batch(p *Plan, t *Truth, c Consumer) error {
	var all []Given
	for {
		next, err := c.Fetch(1)
		after := Now()
		if err != nil {
			return err
		}
		if n := len(all); n > 0 && all[n-1].Told.Settled == 0 {
			all[n-1].Told.Settled = after
		}
		for _, m := range next {
			if err := work(p, c, m); err != nil {
				return err
			}
			all = append(all, m)
			if len(all) < 10 {
				m.Told.Ended = Now()
			}
		}
		if len(all) < 10 {
			continue
		}
		if last, err := settle(t, c, all); last || err != nil {
			return err
		}
		all = nil
	}
}

// The library commits by itself; the next request ends the work, or the end of the consumer.
func auto(p *Plan, t *Truth, c Consumer) error {
	var before *Message
	for n := 0; ; {
		next, err := c.Fetch(1)
		if before != nil {
			before.Settled = Now()
			t.Done(before)
			before = nil
		}
		if err != nil {
			return err
		}
		for _, m := range next {
			if err := work(p, c, m); err != nil {
				return err
			}
			before = m.Told
			before.Ended = Now()
			n++
		}
		if n == p.Records {
			err := c.Close()
			before.Settled = Now()
			t.Done(before)
			return err
		}
	}
}

// Four workers settle what they are handed through a channel; in the pattern relay each sends results meanwhile.
func pool(p *Plan, t *Truth, c Consumer) error {
	given, ended := make(chan Given), make(chan error, 4)
	for n := 0; n < 4; n++ {
		go func() {
			var failed error
			for m := range given {
				err := work(p, c, m)
				if err == nil {
					_, err = settle(t, c, []Given{m})
				}
				if err != nil {
					failed = err
				}
			}
			ended <- failed
		}()
	}
	var failed error
	for n := 0; n < p.Records && failed == nil; {
		var all []Given
		all, failed = c.Fetch(20)
		for _, m := range all {
			given <- m
			n++
		}
	}
	close(given)
	for n := 0; n < 4; n++ {
		if err := <-ended; err != nil {
			failed = err
		}
	}
	return failed
}

// Grows the stack, and so moves it, then blocks its thread: the goroutine goes on on another.
func deep(depth int) byte {
	var ballast [512]byte
	if depth == 0 {
		block(time.Millisecond)
		return ballast[0]
	}
	ballast[depth%len(ballast)] = 1
	return deep(depth-1) + ballast[0]
}

// A goroutine of its own asks for each message, works on it and is gone: eight at a time, with stacks that move and threads that change.
func goroutines(p *Plan, t *Truth, c Consumer) error {
	runtime.GOMAXPROCS(4)
	turns := make(chan struct{}, 8)
	var lock sync.Mutex
	var failed error
	left := p.Records
	for {
		turns <- struct{}{}
		lock.Lock()
		err, over := failed, left <= 0
		lock.Unlock()
		if err != nil || over {
			break
		}
		go func() {
			defer func() { <-turns }()
			// One asks at a time, so that none is left waiting at the end.
			lock.Lock()
			var all []Given
			var err error
			if left > 0 {
				all, err = c.Fetch(1)
				left -= len(all)
			}
			lock.Unlock()
			for _, m := range all {
				deep(64)
				runtime.Gosched()
				if err == nil {
					err = work(p, c, m)
				}
				if err == nil {
					_, err = settle(t, c, []Given{m})
				}
			}
			if err != nil {
				lock.Lock()
				failed = err
				lock.Unlock()
			}
		}()
	}
	// The last ones.
	for n := 1; n < cap(turns); n++ {
		turns <- struct{}{}
	}
	return failed
}

// A goroutine handles each message; of every tenth it panics, or ends itself, before the message is settled.
func panics(p *Plan, t *Truth, c Consumer) error {
	for n := 0; n < p.Records; {
		told := make(chan error)
		go func() {
			var all []Given
			var err error
			defer func() {
				// A panic ends here. What was not settled ended when the handler did.
				_ = recover()
				for _, m := range all {
					if m.Told.Failed {
						m.Told.Settled = Now()
						t.Done(m.Told)
					}
					n++
				}
				told <- err
			}()
			all, err = c.Fetch(1)
			for _, m := range all {
				if err = work(p, c, m); err != nil {
					return
				}
				if m.Told.Failed = m.Told.Offset%10 == 0; m.Told.Failed {
					m.Told.Ended = Now()
					stumble(p.Pattern)
				}
				_, err = settle(t, c, all)
			}
		}()
		if err := <-told; err != nil {
			return err
		}
	}
	return nil
}

func stumble(pattern string) {
	if pattern == "goexit" {
		runtime.Goexit()
	}
	panic("what every tenth handler does")
}

// The process ends by a panic in the handler of the last message.
func crash(p *Plan, t *Truth, c Consumer) error {
	for n := 0; ; {
		all, err := c.Fetch(1)
		if err != nil {
			return err
		}
		for _, m := range all {
			if err := work(p, c, m); err != nil {
				return err
			}
			if n++; n == p.Records {
				m.Told.Failed, m.Told.Ended = true, Now()
				t.Done(m.Told)
				panic("as planned")
			}
			if _, err := settle(t, c, []Given{m}); err != nil {
				return err
			}
		}
	}
}

// The consumer is closed by another goroutine while the last message is worked on, which is never settled.
func leave(p *Plan, t *Truth, c Consumer) error {
	for n := 0; ; {
		all, err := c.Fetch(1)
		if err != nil {
			return err
		}
		for _, m := range all {
			if n++; n < p.Records {
				if err := work(p, c, m); err != nil {
					return err
				}
				if _, err := settle(t, c, []Given{m}); err != nil {
					return err
				}
				continue
			}
			closed := make(chan error)
			go func() {
				time.Sleep(20 * time.Millisecond)
				m.Told.Ended = Now()
				err := c.Close()
				m.Told.Settled = Now()
				closed <- err
			}()
			time.Sleep(100 * time.Millisecond)
			err := <-closed
			t.Done(m.Told)
			return err
		}
	}
}
