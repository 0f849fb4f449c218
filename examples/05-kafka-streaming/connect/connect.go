// Package connect reads how to reach Kafka from the environment: KAFKA_BROKERS, KAFKA_USERNAME, KAFKA_PASSWORD, KAFKA_CA_FILE.
package connect

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
	kafkascram "github.com/segmentio/kafka-go/sasl/scram"
	"github.com/twmb/franz-go/pkg/kgo"
	franzscram "github.com/twmb/franz-go/pkg/sasl/scram"
)

// Brokers are the addresses to begin with.
func Brokers() []string { return strings.Split(os.Getenv("KAFKA_BROKERS"), ",") }

// Franz are the options of a franz-go client.
func Franz(clientID string) ([]kgo.Opt, error) {
	config, err := trust()
	if err != nil {
		return nil, err
	}
	login := franzscram.Auth{User: os.Getenv("KAFKA_USERNAME"), Pass: os.Getenv("KAFKA_PASSWORD")}
	return []kgo.Opt{
		kgo.SeedBrokers(Brokers()...),
		kgo.ClientID(clientID),
		kgo.DialTLSConfig(config),
		kgo.SASL(login.AsSha512Mechanism()),
	}, nil
}

// Dialer is what a kafka-go reader connects with.
func Dialer(clientID string) (*kafka.Dialer, error) {
	config, err := trust()
	if err != nil {
		return nil, err
	}
	login, err := kafkascram.Mechanism(kafkascram.SHA512, os.Getenv("KAFKA_USERNAME"), os.Getenv("KAFKA_PASSWORD"))
	if err != nil {
		return nil, err
	}
	return &kafka.Dialer{ClientID: clientID, Timeout: 10 * time.Second, TLS: config, SASLMechanism: login}, nil
}

func trust() (*tls.Config, error) {
	path := os.Getenv("KAFKA_CA_FILE")
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return &tls.Config{RootCAs: pool}, nil
}
