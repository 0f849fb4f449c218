// order-processor reads "orders" in the consumer group "order-processors": it writes each order to PostgreSQL, takes the goods from the
// stock, and commits.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/segmentio/kafka-go"

	"orders.example/connect"
	"orders.example/diary"
)

const schema = `
CREATE TABLE IF NOT EXISTS orders (id text PRIMARY KEY, customer text NOT NULL, item text NOT NULL, quantity integer NOT NULL);
CREATE TABLE IF NOT EXISTS stock (item text PRIMARY KEY, sold bigint NOT NULL);
INSERT INTO stock VALUES ('book', 0), ('lamp', 0), ('chair', 0) ON CONFLICT DO NOTHING`

// Order is what order-api writes.
type Order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Item     string `json:"item"`
	Quantity int    `json:"quantity"`
}

// store writes an order once, however often it is delivered.
func store(ctx context.Context, database *pgx.Conn, order Order) error {
	return pgx.BeginFunc(ctx, database, func(tx pgx.Tx) error {
		added, err := tx.Exec(ctx, "INSERT INTO orders (id, customer, item, quantity) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
			order.ID, order.Customer, order.Item, order.Quantity)
		if err != nil || added.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, "UPDATE stock SET sold = sold + $2 WHERE item = $1", order.Item, order.Quantity)
		return err
	})
}

func run(ctx context.Context, database *pgx.Conn, reader *kafka.Reader, book *diary.Diary) error {
	for {
		entry := diary.Entry{Asked: diary.Now()}
		message, err := reader.FetchMessage(ctx)
		if err != nil {
			return err
		}
		entry.Began, entry.Partition, entry.Offset = diary.Now(), message.Partition, message.Offset
		var order Order
		if err := json.Unmarshal(message.Value, &order); err != nil {
			log.Printf("order at %d/%d is not JSON: %v", message.Partition, message.Offset, err)
		} else if err := store(ctx, database, order); err != nil {
			return err
		}
		entry.Order, entry.Ended = order.ID, diary.Now()
		if err := reader.CommitMessages(ctx, message); err != nil {
			return err
		}
		entry.Settled = diary.Now()
		if err := book.Write(entry); err != nil {
			return err
		}
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	book, err := diary.Open()
	if err != nil {
		log.Fatal(err)
	}
	database, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	defer database.Close(context.Background())
	if _, err := database.Exec(ctx, schema); err != nil {
		log.Fatal(err)
	}
	dialer, err := connect.Dialer("order-processor")
	if err != nil {
		log.Fatal(err)
	}
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers:     connect.Brokers(),
		GroupID:     "order-processors",
		Topic:       "orders",
		StartOffset: kafka.FirstOffset,
		Dialer:      dialer,
	})
	defer reader.Close()

	log.Print("order-processor reads orders")
	if err := run(ctx, database, reader, book); !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}
