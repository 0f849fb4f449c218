// A Kafka client that serves HTTP and gRPC and asks PostgreSQL, and writes down the truth: a line for each request and statement, with the goroutine by
// which the runtime knows the one at work. The same program asks itself (`ask`), over connections that are kept.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	_ "github.com/lib/pq"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

type Plan struct {
	Brokers []string `json:"brokers"`
	// What handlers produce to.
	Topic string `json:"topic"`
	// Ports of http, https and gRPC.
	HTTP  int    `json:"http"`
	HTTPS int    `json:"https"`
	GRPC  int    `json:"grpc"`
	Chain string `json:"chain"`
	// URLs of PostgreSQL, in the clear and over TLS.
	Databases []string `json:"databases"`
	Truth     string   `json:"truth"`
	Requests  int      `json:"requests"`
}

type Line struct {
	What   string `json:"what"`
	Method string `json:"method,omitempty"`
	// Of the request; of a statement or a message: of the request that it was made for.
	Path string `json:"path,omitempty"`
	// Of the message that was produced.
	Key       string `json:"key,omitempty"`
	Status    int    `json:"status"`
	Version   string `json:"version,omitempty"`
	TLS       bool   `json:"tls"`
	Operation string `json:"operation,omitempty"`
	Rows      int    `json:"rows"`
	Driver    string `json:"driver,omitempty"`
	Goroutine uint64 `json:"goroutine"`
	Began     int64  `json:"began"`
	Ended     int64  `json:"ended"`
}

var truth struct {
	sync.Mutex
	file *os.File
}

func note(line Line) {
	line.Ended = time.Now().UnixNano()
	line.Goroutine = goroutine()
	text, err := json.Marshal(line)
	check(err)
	truth.Lock()
	defer truth.Unlock()
	_, err = truth.file.Write(append(text, '\n'))
	check(err)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// From the first line of a stack: `goroutine 18 [running]:`.
func goroutine() uint64 {
	var text [64]byte
	words := bytes.Fields(text[:runtime.Stack(text[:], false)])
	id, err := strconv.ParseUint(string(words[1]), 10, 64)
	check(err)
	return id
}

func main() {
	text, err := os.ReadFile(os.Args[2])
	check(err)
	var plan Plan
	check(json.Unmarshal(text, &plan))
	if os.Args[1] == "ask" {
		ask(plan)
		return
	}
	truth.file, err = os.Create(plan.Truth)
	check(err)
	client, err := kgo.NewClient(kgo.SeedBrokers(plan.Brokers...), kgo.DefaultProduceTopic(plan.Topic))
	check(err)
	defer client.Close()
	produced := &producer{client: client}
	// The first byte is to be met by hooks that are in place.
	fmt.Println("here")
	_, err = fmt.Scanln(new(string))
	check(err)
	// Until the hooks saw a message acknowledged, calls and records are told from each other by their order.
	check(client.ProduceSync(context.Background(), &kgo.Record{Key: []byte("first")}).FirstErr())
	databases := connect(plan)
	handle := func(w http.ResponseWriter, r *http.Request) {
		line := Line{What: "request", Method: r.Method, Path: r.URL.Path, TLS: r.TLS != nil, Version: strings.TrimSuffix(strings.TrimPrefix(r.Proto, "HTTP/"), ".0"), Began: time.Now().UnixNano()}
		_, _ = io.Copy(io.Discard, r.Body)
		line.Status = serve(w, r, databases, produced)
		note(line)
	}
	http1 := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", plan.HTTP), Handler: http.HandlerFunc(handle)}
	go func() { check(http1.ListenAndServe()) }()
	https := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", plan.HTTPS), Handler: http.HandlerFunc(handle)}
	go func() { check(https.ListenAndServeTLS(plan.Chain, plan.Chain)) }()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", plan.GRPC))
	check(err)
	server := grpc.NewServer()
	health.RegisterHealthServer(server, checker{produced: produced})
	go func() { check(server.Serve(listener)) }()
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// What handlers produce: each message has a key of its own.
type producer struct {
	client *kgo.Client
	number atomic.Int64
}

// On this goroutine, or on one that it starts.
func (p *producer) produce(path string) {
	line := Line{What: "send", Path: path, Key: fmt.Sprint("key-", p.number.Add(1)), Began: time.Now().UnixNano()}
	record := &kgo.Record{Key: []byte(line.Key), Value: []byte("ordered")}
	check(p.client.ProduceSync(context.Background(), record).FirstErr())
	note(line)
}

type checker struct {
	health.UnimplementedHealthServer
	produced *producer
}

func (c checker) Check(_ context.Context, request *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	line := Line{What: "rpc", Path: "/grpc.health.v1.Health/Check", Version: "2", Began: time.Now().UnixNano()}
	var err error
	if request.Service != "" {
		line.Status = int(codes.NotFound)
		err = status.Error(codes.NotFound, "no such service")
	}
	c.produced.produce(line.Path)
	note(line)
	return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}, err
}

// A way to ask: driver, TLS, and a statement with a value.
type asker func(number int) (rows int, err error)

func connect(plan Plan) map[string]asker {
	askers := map[string]asker{}
	for at, url := range plan.Databases {
		kind := []string{"plain", "tls"}[at]
		pq, err := sql.Open("postgres", url)
		check(err)
		pq.SetMaxOpenConns(1)
		askers["pq-simple-"+kind] = func(number int) (int, error) {
			return count(pq.Query(fmt.Sprintf("SELECT generate_series(1, %d) /* secret-%d */", number, number)))
		}
		askers["pq-extended-"+kind] = func(number int) (int, error) {
			return count(pq.Query("SELECT generate_series(1, $1::int)", number))
		}
		mine, err := pgx.Connect(context.Background(), url)
		check(err)
		var one sync.Mutex
		asked := func(mode pgx.QueryExecMode) asker {
			return func(number int) (int, error) {
				one.Lock()
				defer one.Unlock()
				rows, err := mine.Query(context.Background(), "SELECT generate_series(1, $1::int)", mode, number)
				if err != nil {
					return 0, err
				}
				n := 0
				for rows.Next() {
					n++
				}
				return n, rows.Err()
			}
		}
		askers["pgx-simple-"+kind] = asked(pgx.QueryExecModeSimpleProtocol)
		askers["pgx-extended-"+kind] = asked(pgx.QueryExecModeCacheStatement)
	}
	return askers
}

func count(rows *sql.Rows, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	return n, rows.Err()
}

// /ask/DRIVER/N asks a database for N rows; /order produces a message, /worker lets another goroutine do so, /large writes a body longer than is copied; the rest has the last word of its path as status.
func serve(w http.ResponseWriter, r *http.Request, databases map[string]asker, produced *producer) int {
	words := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	number, _ := strconv.Atoi(words[len(words)-1])
	switch words[0] {
	case "ask":
		line := Line{What: "query", Path: r.URL.Path, Driver: words[1], TLS: strings.HasSuffix(words[1], "tls"), Operation: "SELECT", Began: time.Now().UnixNano()}
		rows, err := databases[words[1]](number)
		check(err)
		line.Rows = rows
		note(line)
		return http.StatusOK
	case "order":
		produced.produce(r.URL.Path)
		return http.StatusOK
	case "worker":
		done := make(chan struct{})
		go func() {
			produced.produce(r.URL.Path)
			close(done)
		}()
		<-done
		return http.StatusOK
	case "large":
		_, _ = w.Write(make([]byte, number))
		return http.StatusOK
	}
	w.WriteHeader(number)
	return number
}

func ask(plan Plan) {
	plain := fmt.Sprintf("http://127.0.0.1:%d", plan.HTTP)
	secret := fmt.Sprintf("https://127.0.0.1:%d", plan.HTTPS)
	over := func(two bool) *http.Client {
		protocols := &http.Protocols{}
		protocols.SetHTTP1(!two)
		protocols.SetHTTP2(two)
		return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: protocols}}
	}
	connection, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", plan.GRPC), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	rpc := health.NewHealthClient(connection)
	clients := []struct {
		base   string
		client *http.Client
	}{{plain, over(false)}, {secret, over(false)}, {secret, over(true)}}
	for round := range plan.Requests {
		var asking sync.WaitGroup
		for at, way := range clients {
			// Streams of one connection, at once.
			for n := range 5 {
				asking.Go(func() {
					for _, path := range []string{"order", "worker"} {
						get(way.client, fmt.Sprintf("%s/%s/%d-%d-%d/200", way.base, path, round, at, n))
					}
				})
			}
			asking.Wait()
			for _, path := range []string{"/orders/200", "/orders/404", "/orders/503", fmt.Sprintf("/large/%d", 10+round*7000)} {
				get(way.client, way.base+path)
			}
			if at == 1 {
				continue
			}
			// Each statement has a number of rows of its own.
			for nth, driver := range drivers(plan) {
				asking.Go(func() {
					get(way.client, fmt.Sprintf("%s/ask/%s/%d", way.base, driver, 1+1000*at+8*round+nth))
				})
				if at == 0 {
					asking.Wait()
				}
			}
			asking.Wait()
		}
		for _, service := range []string{"", "nobody", "", "nobody"} {
			asking.Go(func() {
				_, err := rpc.Check(context.Background(), &health.HealthCheckRequest{Service: service})
				if err != nil && status.Code(err) != codes.NotFound {
					log.Fatal(err)
				}
			})
		}
		asking.Wait()
	}
}

func drivers(plan Plan) []string {
	var names []string
	for at := range plan.Databases {
		for _, driver := range []string{"pq-simple", "pq-extended", "pgx-simple", "pgx-extended"} {
			names = append(names, driver+"-"+[]string{"plain", "tls"}[at])
		}
	}
	return names
}

func get(client *http.Client, url string) {
	answer, err := client.Post(url+"?card=4111-secret", "text/plain", strings.NewReader("a body"))
	check(err)
	_, _ = io.Copy(io.Discard, answer.Body)
	check(answer.Body.Close())
}
