package member

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Record is what the application is given of one.
type Record struct {
	Place
	Offset int64
}

// Library is one Kafka client library as a member of a group, used the way its own documentation shows.
type Library interface {
	// Poll serves the library for at most wait. A record is asked for only with take; without, the library must hand out none.
	Poll(wait time.Duration, take bool) (*Record, error)
	// Commit sends these offsets in one request and waits for its answer.
	Commit(offsets []Offset) error
	Close() error
}

// Transactions is what some libraries can do beside.
type Transactions interface {
	Begin() error
	// Produce sends n records to the plan's out topic, over its partitions in turn, and waits for their acknowledgements.
	Produce(n int) error
	SendOffsets(offsets []Offset) error
	End(commit bool) error
}

// Key of the nth record of Produce: ten keys in all, so that compaction has something to remove.
func Key(n int) []byte { return fmt.Appendf(nil, "k%d", n%10) }

// A poll is short, so that commands are not kept waiting.
const tick = 50 * time.Millisecond

// Main obeys the commands of standard input.
func Main(open func(*Plan, *Log) (Library, error)) {
	log := newLog()
	if err := run(log, open); err != nil {
		log.told(map[string]any{"event": "error", "command": "", "error": err.Error()})
		os.Exit(1)
	}
}

func run(log *Log, open func(*Plan, *Log) (Library, error)) error {
	plan, err := Load()
	if err != nil {
		return err
	}
	library, err := open(plan, log)
	if err != nil {
		return err
	}
	commands := make(chan string)
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			commands <- lines.Text()
		}
		close(commands)
	}()
	s := session{log: log, library: library}
	for {
		line, open := s.next(commands)
		if line == "close" || !open {
			if err := library.Close(); err != nil {
				return err
			}
			log.told(map[string]any{"event": "closed"})
			return nil
		}
		if line != "" {
			if err := s.obey(strings.Fields(line)); err != nil {
				log.told(map[string]any{"event": "error", "command": line, "error": err.Error()})
			}
			continue
		}
		wait := tick
		if s.left == 0 {
			// The wait was for a command.
			wait = 0
		}
		record, err := library.Poll(wait, s.left > 0)
		if err != nil {
			log.told(map[string]any{"event": "error", "command": "", "error": err.Error()})
			time.Sleep(tick)
			continue
		}
		if record != nil {
			s.took(record)
		}
	}
}

type session struct {
	log     *Log
	library Library
	paused  bool
	// Of the last consume: how many were wanted, and how many are still.
	wanted, left int
}

// next is a command if there is one; it is waited for while paused, and for a moment while no record is wanted.
func (s *session) next(commands <-chan string) (string, bool) {
	if s.paused {
		line, open := <-commands
		return line, open
	}
	wait := time.Duration(0)
	if s.left == 0 {
		wait = tick
	}
	select {
	case line, open := <-commands:
		return line, open
	case <-time.After(wait):
		return "", true
	}
}

func (s *session) took(record *Record) {
	s.log.took(record)
	if s.left--; s.left == 0 {
		s.log.consumed(s.wanted)
	}
}

func (s *session) obey(words []string) error {
	switch words[0] {
	case "consume":
		n, err := number(words)
		if err != nil {
			return err
		}
		s.wanted, s.left, s.paused = n, n, false
		return nil
	case "stop":
		n := s.wanted - s.left
		s.wanted, s.left = 0, 0
		s.log.consumed(n)
		return nil
	case "commit":
		offsets := s.log.positions()
		var err error
		if len(offsets) > 0 {
			err = s.library.Commit(offsets)
		}
		s.log.Committed(offsets, err, false)
		return nil
	case "pause", "poll":
		s.paused = words[0] == "pause"
		s.log.told(map[string]any{"event": words[0]})
		return nil
	}
	return s.transact(words)
}

func (s *session) transact(words []string) error {
	library, ok := s.library.(Transactions)
	if !ok {
		return errors.New("not a command of this library")
	}
	var err error
	event := map[string]any{"event": words[0]}
	switch words[0] {
	case "begin":
		err = library.Begin()
	case "produce":
		n, wrong := number(words)
		if wrong != nil {
			return wrong
		}
		event["n"], err = n, library.Produce(n)
	case "send_offsets":
		offsets := s.log.positions()
		event["offsets"], err = offsets, library.SendOffsets(offsets)
	case "end":
		if len(words) != 2 {
			return errors.New("end commit|abort")
		}
		event["how"], err = words[1], library.End(words[1] == "commit")
	default:
		return errors.New("unknown command")
	}
	event["ok"], event["error"] = err == nil, text(err)
	s.log.told(event)
	return nil
}

func number(words []string) (int, error) {
	if len(words) != 2 {
		return 0, fmt.Errorf("%s N", words[0])
	}
	return strconv.Atoi(words[1])
}
