package golden

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Client is one Kafka client library, used the way its own documentation shows.
type Client interface {
	// Produce sends all records and waits for their acknowledgements. With large, batches of up to 8 MiB are made.
	Produce(records []Record, large bool, acked func(record *Record, offset int64)) error
	// Consume reads n records of the topics from their beginning, or from where it stood.
	Consume(topics []string, n int, got func(record *Record, offset int64)) error
	Close() error
}

// Main runs the commands of standard input on clients that open makes:
//
//	many N TOPIC,...       N records of random sizes
//	wide TOPIC             8 MiB over all partitions
//	tall TOPIC             56 MiB to partition 0
//	pace N MILLIS TOPIC    N records, one after the other, MILLIS apart
//	consume N TOPIC,...    read N records
//	reconnect N TOPIC      N times: a new client, one record, close
func Main(open func(*Plan) (Client, error)) {
	if err := run(open); err != nil {
		fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
}

func run(open func(*Plan) (Client, error)) error {
	plan, err := Load()
	if err != nil {
		return err
	}
	truth, err := Create(plan.Truth)
	if err != nil {
		return err
	}
	client, err := open(plan)
	if err != nil {
		return err
	}
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		s := session{plan: plan, truth: truth, client: client, open: open}
		if err := s.command(strings.Fields(commands.Text())); err != nil {
			return fmt.Errorf("%s: %w", commands.Text(), err)
		}
		if err := truth.Flush(); err != nil {
			return err
		}
		fmt.Println("ok")
	}
	return client.Close()
}

type session struct {
	plan   *Plan
	truth  *Lines
	client Client
	open   func(*Plan) (Client, error)
	failed error
}

func (s *session) command(words []string) error {
	if len(words) < 2 {
		return fmt.Errorf("not a command")
	}
	last := words[len(words)-1]
	topics := strings.Split(last, ",")
	switch words[0] {
	case "wide":
		return s.produce(s.client, Wide(s.plan, last), true)
	case "tall":
		return s.produce(s.client, Tall(s.plan, last), true)
	}
	n, err := strconv.Atoi(words[1])
	if err != nil {
		return err
	}
	switch words[0] {
	case "many":
		return s.produce(s.client, Many(s.plan, n, topics), false)
	case "pace":
		millis, err := strconv.Atoi(words[2])
		if err != nil {
			return err
		}
		for _, record := range Many(s.plan, n, topics) {
			if err := s.produce(s.client, []Record{record}, false); err != nil {
				return err
			}
			time.Sleep(time.Duration(millis) * time.Millisecond)
		}
		return nil
	case "consume":
		err := s.client.Consume(topics, n, func(r *Record, offset int64) { s.keep(r.Consumed(offset)) })
		return first(err, s.failed)
	case "reconnect":
		for _, record := range Many(s.plan, n, topics) {
			client, err := s.open(s.plan)
			if err != nil {
				return err
			}
			if err := first(s.produce(client, []Record{record}, false), client.Close()); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("unknown command")
}

func (s *session) produce(client Client, records []Record, large bool) error {
	err := client.Produce(records, large, func(r *Record, offset int64) { s.keep(r.Produced(offset)) })
	return first(err, s.failed)
}

func (s *session) keep(line Line) {
	if err := s.truth.Add(line); err != nil {
		s.failed = err
	}
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
