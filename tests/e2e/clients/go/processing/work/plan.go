// Package work is what the programs that process messages share: their plan, the patterns of work, and the truth about it. It is described in
// tests/e2e/clients/go/processing/README.md.
package work

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
)

// Plan is the program's configuration, a JSON file named by its first argument.
type Plan struct {
	Brokers  []string `json:"brokers"`
	User     string   `json:"user"`
	Password string   `json:"password"`
	CA       string   `json:"ca"`
	ClientID string   `json:"client_id"`
	Group    string   `json:"group"`
	Topic    string   `json:"topic"`
	// DeadLetters is the topic of messages that fail, in the pattern retry; of results in transactions.
	DeadLetters string `json:"dead_letters"`
	Pattern     string `json:"pattern"`
	// Records to process before the program ends.
	Records int `json:"records"`
	// Pause is the work on a message: once, twice or three times so many microseconds.
	Pause int64 `json:"pause"`
	// Truth is the file that gets a line for each message.
	Truth string `json:"truth"`
}

// Main runs a program of this plan once a line of standard input says that the agent has met it.
func Main(run func(*Plan, *Truth) error) {
	err := load(run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func load(run func(*Plan, *Truth) error) error {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	plan := new(Plan)
	if err := json.Unmarshal(text, plan); err != nil {
		return err
	}
	truth, err := newTruth(plan)
	if err != nil {
		return err
	}
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return fmt.Errorf("nobody said go: %w", err)
	}
	if err := run(plan, truth); err != nil {
		return err
	}
	return truth.file.Close()
}

// TLSConfig trusts the plan's authority.
func (p *Plan) TLSConfig() (*tls.Config, error) {
	pem, err := os.ReadFile(p.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", p.CA)
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}, nil
}
