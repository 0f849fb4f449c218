package golden

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
)

// Line of a truth file: a record as the broker placed it.
type Line struct {
	// Did is "produced" or "consumed".
	Did       string      `json:"did"`
	Topic     string      `json:"topic"`
	Partition int32       `json:"partition"`
	Offset    int64       `json:"offset"`
	Key       *string     `json:"key"`
	Headers   [][2]string `json:"headers"`
	Size      int         `json:"size"`
}

// Lines is a file of JSON lines; safe for concurrent use.
type Lines struct {
	lock sync.Mutex
	file *os.File
	out  *bufio.Writer
}

// Create empties the file.
func Create(path string) (*Lines, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &Lines{file: file, out: bufio.NewWriter(file)}, nil
}

// Add writes one line.
func (l *Lines) Add(line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	_, err = l.out.Write(append(text, '\n'))
	return err
}

// Flush makes all lines visible to a reader of the file.
func (l *Lines) Flush() error {
	l.lock.Lock()
	defer l.lock.Unlock()
	return l.out.Flush()
}

// Produced is the truth of a record that was acknowledged.
func (r *Record) Produced(offset int64) Line {
	return line("produced", r, offset)
}

// Consumed is the truth of a record that was read.
func (r *Record) Consumed(offset int64) Line {
	return line("consumed", r, offset)
}

func line(did string, r *Record, offset int64) Line {
	l := Line{Did: did, Topic: r.Topic, Partition: r.Partition, Offset: offset, Headers: [][2]string{}, Size: len(r.Value)}
	if r.Key != nil {
		key := string(r.Key)
		l.Key = &key
	}
	for _, h := range r.Headers {
		l.Headers = append(l.Headers, [2]string{h.Key, h.Value})
	}
	return l
}
