package golden

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

const (
	partitions = 3
	kib        = 1 << 10
	mib        = 1 << 20
)

// Header of a record.
type Header struct{ Key, Value string }

// Record to produce. A nil Key is Kafka's null.
type Record struct {
	Topic     string
	Partition int32
	Key       []byte
	Headers   []Header
	Value     []byte
}

// Many returns n records of random sizes from 0 bytes up, spread over the topics and their partitions.
func Many(plan *Plan, n int, topics []string) []Record {
	random := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	records := make([]Record, n)
	spread := partitions
	if plan.Partitions > 0 {
		spread = plan.Partitions
	}
	for i := range records {
		size := random.IntN(2 * kib)
		switch i % 50 {
		case 0:
			size = 0
		case 1:
			size = random.IntN(32 * kib)
		}
		records[i] = Record{
			Topic:     topics[i%len(topics)],
			Partition: int32(i / len(topics) % spread),
			Key:       key(i),
			Headers:   headers(plan, i),
			Value:     compressible(plan, random, size),
		}
	}
	return records
}

// Wide returns records of 8 MiB in all, over the topic's partitions; a client that can sends them in one request.
func Wide(plan *Plan, topic string) []Record {
	records := make([]Record, 33)
	for i := range records {
		records[i] = Record{Topic: topic, Partition: int32(i % partitions), Key: key(i), Headers: headers(plan, i), Value: noise(plan, 256*kib)}
	}
	return records
}

// Tall returns records of 56 MiB in all for partition 0, which no codec makes smaller: a consumer gets them in one answer.
func Tall(plan *Plan, topic string) []Record {
	records := make([]Record, 56)
	for i := range records {
		records[i] = Record{Topic: topic, Key: key(i), Headers: headers(plan, i), Value: noise(plan, mib)}
	}
	return records
}

func key(i int) []byte {
	if i%10 == 9 {
		return nil
	}
	return fmt.Appendf(nil, "key-%d", i)
}

func headers(plan *Plan, i int) []Header {
	if i%3 == 0 {
		return nil
	}
	return []Header{{"n", fmt.Sprint(i)}, {"client", plan.ClientID}}
}

func compressible(plan *Plan, random *rand.Rand, size int) []byte {
	value := make([]byte, 0, size+16)
	value = append(value, plan.Marker...)
	for len(value) < size {
		value = fmt.Appendf(value, "%s%d;", strings.Repeat("order ", 8), random.Uint32())
	}
	if size < len(plan.Marker) {
		// Too short for the marker: nothing of it, so that a search for its parts is fair.
		return []byte(strings.Repeat("x", size))
	}
	return value[:size]
}

func noise(plan *Plan, size int) []byte {
	value := make([]byte, size)
	random := rand.NewChaCha8([32]byte{byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())})
	// ChaCha8.Read never fails.
	_, _ = random.Read(value)
	copy(value, plan.Marker)
	return value
}
