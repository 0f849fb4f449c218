// Package golden is what all golden clients share: the plan they are given, the records they make, the truth they write down.
//
// A client reads commands line by line from standard input and answers each with "ok" once all its records are acknowledged or
// read, so that a test knows when to look at the counters.
package golden

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
)

// Plan is the client's configuration, a JSON file named by its first argument.
type Plan struct {
	Brokers   []string `json:"brokers"`
	TLS       bool     `json:"tls"`
	Mechanism string   `json:"mechanism"`
	User      string   `json:"user"`
	Password  string   `json:"password"`
	CA        string   `json:"ca"`
	ClientID  string   `json:"client_id"`
	Codec     string   `json:"codec"`
	// Group is empty for a consumer that assigns itself all partitions.
	Group string `json:"group"`
	// Partitions of the topics of the command many; 3 if absent.
	Partitions int `json:"partitions"`
	// Marker begins every value that is long enough; tests search for it where no value may be.
	Marker string `json:"marker"`
	// Truth is the file that gets one JSON line for each record acknowledged or read.
	Truth string `json:"truth"`
	// Intervals is the file that gets one JSON line for each request; only some clients can.
	Intervals string `json:"intervals"`
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
