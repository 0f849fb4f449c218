// Package diary writes down what a service did, a JSON line for each order, where DIARY_FILE asks for it: the end-to-end tests hold it
// against what was seen from outside. It decides nothing and is off otherwise.
package diary

import (
	"bytes"
	"encoding/json"
	"os"
	"runtime"
	"strconv"
	"sync"
	"time"
)

// Entry is one order as a service met it; times are nanoseconds since the epoch.
type Entry struct {
	Order     string `json:"order"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	Goroutine uint64 `json:"goroutine"`
	// Asked is before the service asked for work, Began when it had it, Ended when the work was done, Settled when that was said.
	Asked   int64 `json:"asked"`
	Began   int64 `json:"began"`
	Ended   int64 `json:"ended"`
	Settled int64 `json:"settled"`
}

// Diary is nil where nobody wants one.
type Diary struct {
	lock sync.Mutex
	file *os.File
}

// Open opens the file that DIARY_FILE names.
func Open() (*Diary, error) {
	path := os.Getenv("DIARY_FILE")
	if path == "" {
		return nil, nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &Diary{file: file}, nil
}

// Write adds a line, with the goroutine that calls it.
func (d *Diary) Write(entry Entry) error {
	if d == nil {
		return nil
	}
	entry.Goroutine = goroutine()
	line, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	d.lock.Lock()
	defer d.lock.Unlock()
	_, err = d.file.Write(append(line, '\n'))
	return err
}

// Now is the time as entries have it.
func Now() int64 { return time.Now().UnixNano() }

// goroutine reads its id from "goroutine 18 [running]:".
func goroutine() uint64 {
	var stack [64]byte
	words := bytes.Fields(stack[:runtime.Stack(stack[:], false)])
	id, err := strconv.ParseUint(string(words[1]), 10, 64)
	if err != nil {
		return 0
	}
	return id
}
