// Package member is what all group members in Go share: the plan they are given, the commands they obey, the events they tell. The
// protocol is described once, in tests/e2e/clients/groups/README.md.
package member

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Plan is the member's configuration, a JSON file named by its first argument.
type Plan struct {
	Brokers   []string `json:"brokers"`
	TLS       bool     `json:"tls"`
	Mechanism string   `json:"mechanism"`
	User      string   `json:"user"`
	Password  string   `json:"password"`
	CA        string   `json:"ca"`
	ClientID  string   `json:"client_id"`
	// Group is empty for a program that only produces.
	Group  string   `json:"group"`
	Topics []string `json:"topics"`
	// Protocol is "classic" or "consumer" (KIP-848).
	Protocol string `json:"protocol"`
	// Assignor is "range", "roundrobin", "sticky", "cooperative-sticky", or empty for the library's own choice.
	Assignor string `json:"assignor"`
	// Commit is "manual" or "auto".
	Commit            string `json:"commit"`
	Isolation         string `json:"isolation"`
	InstanceID        string `json:"instance_id"`
	MaxPollIntervalMS int    `json:"max_poll_interval_ms"`
	SessionTimeoutMS  int    `json:"session_timeout_ms"`
	TransactionalID   string `json:"transactional_id"`
	OutTopic          string `json:"out_topic"`
	OutPartitions     int32  `json:"out_partitions"`
	// Idempotence is false where the broker has no InitProducerId.
	Idempotence bool `json:"idempotence"`
}

// Load reads the plan that the program was given.
func Load() (*Plan, error) {
	if len(os.Args) != 2 {
		return nil, fmt.Errorf("usage: %s PLAN.json", os.Args[0])
	}
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		return nil, err
	}
	plan := new(Plan)
	return plan, json.Unmarshal(text, plan)
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

// SessionTimeout as Go has it.
func (p *Plan) SessionTimeout() time.Duration {
	return time.Duration(p.SessionTimeoutMS) * time.Millisecond
}

// MaxPollInterval as Go has it.
func (p *Plan) MaxPollInterval() time.Duration {
	return time.Duration(p.MaxPollIntervalMS) * time.Millisecond
}
