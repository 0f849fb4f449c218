// order-processor reads "orders" in the consumer group "order-processors".
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/segmentio/kafka-go"

	"orders.example/connect"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

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

	items := map[string]int{}
	for {
		message, err := reader.ReadMessage(ctx)
		if errors.Is(err, context.Canceled) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		var order struct {
			Item     string `json:"item"`
			Quantity int    `json:"quantity"`
		}
		if err := json.Unmarshal(message.Value, &order); err != nil {
			log.Printf("order at %d/%d is not JSON: %v", message.Partition, message.Offset, err)
			continue
		}
		items[order.Item] += order.Quantity
	}
}
