package member

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"sync"
)

// Place is a partition, ["topic", 0] as JSON.
type Place struct {
	Topic     string
	Partition int32
}

// MarshalJSON writes it as the protocol has it.
func (p Place) MarshalJSON() ([]byte, error) { return json.Marshal([]any{p.Topic, p.Partition}) }

// Offset is a number at a place, ["topic", 0, 57] as JSON.
type Offset struct {
	Place
	Value int64
}

// MarshalJSON writes it as the protocol has it.
func (o Offset) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{o.Topic, o.Partition, o.Value})
}

// Log tells the test what happens, and knows how far the application has read. Libraries call it from threads of their own.
type Log struct {
	lock sync.Mutex
	held map[Place]bool
	// The offset after the last record that the application was given, of partitions held.
	next map[Place]int64
	// Records that the application was given, ever.
	counts map[Place]int64
}

func newLog() *Log {
	return &Log{held: map[Place]bool{}, next: map[Place]int64{}, counts: map[Place]int64{}}
}

func (l *Log) emit(event map[string]any) {
	text, err := json.Marshal(event)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	os.Stdout.Write(append(text, '\n'))
}

// Assigned tells which partitions were added.
func (l *Log) Assigned(places []Place) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, place := range places {
		l.held[place] = true
	}
	l.emit(map[string]any{"event": "assigned", "partitions": sorted(places)})
}

// Revoked tells which partitions were given up in order.
func (l *Log) Revoked(places []Place) { l.gone("revoked", places) }

// Lost tells which partitions others may own already.
func (l *Log) Lost(places []Place) { l.gone("lost", places) }

func (l *Log) gone(event string, places []Place) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, place := range places {
		delete(l.held, place)
		delete(l.next, place)
	}
	l.emit(map[string]any{"event": event, "partitions": sorted(places)})
}

// Held is the assignment as it was told.
func (l *Log) Held() []Place {
	l.lock.Lock()
	defer l.lock.Unlock()
	places := []Place{}
	for place := range l.held {
		places = append(places, place)
	}
	return sorted(places)
}

// Committed tells of one commit; auto if the library made it by itself. Without offsets nothing was sent.
func (l *Log) Committed(offsets []Offset, err error, auto bool) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.emit(map[string]any{"event": "committed", "ok": err == nil, "error": text(err), "offsets": offsets, "auto": auto})
}

// took keeps a record that the application was given.
func (l *Log) took(record *Record) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.counts[record.Place]++
	if l.held[record.Place] {
		l.next[record.Place] = record.Offset + 1
	}
}

// positions are the offsets to commit.
func (l *Log) positions() []Offset {
	l.lock.Lock()
	defer l.lock.Unlock()
	return values(l.next)
}

func (l *Log) consumed(n int) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.emit(map[string]any{"event": "consumed", "n": n, "offsets": values(l.next), "counts": values(l.counts)})
}

func (l *Log) told(event map[string]any) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.emit(event)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func values(of map[Place]int64) []Offset {
	out := []Offset{}
	for place, value := range of {
		out = append(out, Offset{place, value})
	}
	sort.Slice(out, func(i, j int) bool { return less(out[i].Place, out[j].Place) })
	return out
}

func sorted(places []Place) []Place {
	out := append([]Place{}, places...)
	sort.Slice(out, func(i, j int) bool { return less(out[i], out[j]) })
	return out
}

func less(a, b Place) bool {
	if a.Topic != b.Topic {
		return a.Topic < b.Topic
	}
	return a.Partition < b.Partition
}
