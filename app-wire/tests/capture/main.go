// Command capture makes the files of ../data: real servers and clients with a recording proxy between them.
//
// In: a folder for the files; the address of a PostgreSQL server with a database `shop` where user `shop` gives its password in clear. Out:
// one file a conversation; a line is one call: `r` or `w` as the watched end sees it (the server of HTTP, the client of PostgreSQL), and
// its bytes. The proxy splits the stream as the clients wrote it, nearly.
//
//	initdb -D DIR -U postgres; echo 'host all shop 127.0.0.1/32 password' >> DIR/pg_hba.conf (before the other lines); pg_ctl -D DIR -o '-p 5499' start
//	psql -p 5499 -U postgres -c "create user shop password 'hunter2pw'" -c 'create database shop owner shop'
//	go run . ../data 127.0.0.1:5499
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// record runs client against server through a proxy and writes what passed to folder/name.
func record(folder, name, server string, clientEnd bool, client func(address string)) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	file, err := os.Create(filepath.Join(folder, name))
	check(err)
	out := bufio.NewWriter(file)
	var lock sync.Mutex
	note := func(way byte, bytes []byte) {
		lock.Lock()
		defer lock.Unlock()
		fmt.Fprintf(out, "%c %s\n", way, escape(bytes))
	}
	fromClient, fromServer := byte('r'), byte('w')
	if clientEnd {
		fromClient, fromServer = 'w', 'r'
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		near, err := listener.Accept()
		check(err)
		far, err := net.Dial("tcp", server)
		check(err)
		var both sync.WaitGroup
		both.Add(2)
		go func() { defer both.Done(); pass(near, far, func(b []byte) { note(fromClient, b) }) }()
		go func() { defer both.Done(); pass(far, near, func(b []byte) { note(fromServer, b) }) }()
		both.Wait()
	}()
	client(listener.Addr().String())
	<-done
	check(out.Flush())
	check(file.Close())
	check(listener.Close())
}

func pass(from, to net.Conn, note func([]byte)) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			note(buffer[:n])
			if _, err := to.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	to.Close()
}

func escape(bytes []byte) string {
	var text []byte
	for _, b := range bytes {
		switch {
		case b == '\\':
			text = append(text, `\\`...)
		case b == '\n':
			text = append(text, `\n`...)
		case b == '\r':
			text = append(text, `\r`...)
		case b >= ' ' && b < 0x7f:
			text = append(text, b)
		default:
			text = fmt.Appendf(text, `\x%02x`, b)
		}
	}
	return string(text)
}

func run(stdin, name string, args ...string) {
	command := exec.Command(name, args...)
	command.Stderr = os.Stderr
	pipe, err := command.StdinPipe()
	check(err)
	go func() { io.WriteString(pipe, stdin); pipe.Close() }()
	// Clients are shown errors on purpose.
	_ = command.Run()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	folder, postgres := os.Args[1], os.Args[2]
	http1(folder)
	http2(folder)
	databases(folder, postgres)
}
