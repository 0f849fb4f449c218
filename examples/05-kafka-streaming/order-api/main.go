// order-api takes orders over HTTP and writes each to the Kafka topic "orders".
//
//	curl -d '{"customer":"ada","item":"book","quantity":1}' http://127.0.0.1:8080/orders
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"orders.example/connect"
	"orders.example/diary"
)

const topic = "orders"

// Order is what a customer asks for; ID is given here.
type Order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
}

type api struct {
	kafka *kgo.Client
	last  atomic.Int64
	book  *diary.Diary
}

func (a *api) create(w http.ResponseWriter, r *http.Request) {
	entry := diary.Entry{Began: diary.Now()}
	var order Order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&order); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	order.ID = strconv.FormatInt(a.last.Add(1), 10)
	value, err := json.Marshal(order)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	record := &kgo.Record{
		Topic:   topic,
		Key:     []byte(order.Customer),
		Value:   value,
		Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/json")}},
	}
	if err := a.kafka.ProduceSync(r.Context(), record).FirstErr(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(value)
	entry.Order, entry.Partition, entry.Offset, entry.Ended = order.ID, int(record.Partition), record.Offset, diary.Now()
	if err := a.book.Write(entry); err != nil {
		log.Print(err)
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	book, err := diary.Open()
	if err != nil {
		log.Fatal(err)
	}
	options, err := connect.Franz("order-api")
	if err != nil {
		log.Fatal(err)
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	a := &api{kafka: client, book: book}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", a.create)
	server := &http.Server{Addr: os.Getenv("LISTEN_ADDRESS"), Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(limit)
	}()
	log.Printf("order-api listens on %s", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
