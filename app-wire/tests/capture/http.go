package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/examples/helloworld/helloworld"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/orders", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, "made")
	})
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			fmt.Fprint(w, "part of an answer\n")
			w.(http.Flusher).Flush()
		}
	})
	return mux
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	return listener
}

func http1(folder string) {
	listener := listen()
	go http.Serve(listener, handler())
	address := listener.Addr().String()
	// curl keeps the connection: GET with chunks, HEAD, POST with and without 100-continue, an unknown path, a chunked request.
	record(folder, "http1-curl-go.txt", address, false, func(at string) {
		url := "http://" + at
		run("", "curl", "-s", url+"/stream?card=4111", "-H", "Authorization: Bearer hunter2",
			"--next", "-s", "-I", url+"/orders",
			"--next", "-s", "-H", "traceparent: "+traceparent, "-H", "tracestate: a=1", "-H", "Cookie: sid=hunter2", "-d", "amount=42", url+"/orders",
			"--next", "-s", "-H", "Expect: 100-continue", "-d", "body after continue", url+"/orders",
			"--next", "-s", url+"/nowhere",
			"--next", "-s", "-H", "Transfer-Encoding: chunked", "-H", "b3: 1-2-1", "-d", "in chunks", url+"/orders")
	})
	record(folder, "http1-curl-10.txt", address, false, func(at string) {
		run("", "curl", "-s", "-0", "http://"+at+"/stream")
	})
	// net/http's own client.
	record(folder, "http1-go-go.txt", address, false, func(at string) {
		client := http.Client{}
		for _, path := range []string{"/orders", "/stream"} {
			answer, err := client.Post("http://"+at+path, "text/plain", nil)
			check(err)
			io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		client.CloseIdleConnections()
	})
}

type greeter struct{ pb.UnimplementedGreeterServer }

func (greeter) SayHello(_ context.Context, in *pb.HelloRequest) (*pb.HelloReply, error) {
	if in.Name == "nobody" {
		return nil, status.Error(codes.NotFound, "no such name")
	}
	return &pb.HelloReply{Message: "hello " + in.Name}, nil
}

func http2(folder string) {
	listener := listen()
	server := grpc.NewServer()
	pb.RegisterGreeterServer(server, greeter{})
	go server.Serve(listener)
	record(folder, "grpc-go.txt", listener.Addr().String(), false, func(at string) {
		connection, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
		check(err)
		client := pb.NewGreeterClient(connection)
		for n, name := range []string{"a", "b", "nobody"} {
			context := metadata.AppendToOutgoingContext(context.Background(),
				"authorization", "Bearer hunter2", "traceparent", fmt.Sprintf("%s%d", traceparent[:len(traceparent)-1], n))
			client.SayHello(context, &pb.HelloRequest{Name: name})
		}
		connection.Close()
	})
	plain := listen()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	go (&http.Server{Handler: handler(), Protocols: protocols}).Serve(plain)
	record(folder, "http2-curl-go.txt", plain.Addr().String(), false, func(at string) {
		url := "http://" + at
		run("", "curl", "-s", "--http2-prior-knowledge", "-H", "Cookie: sid=hunter2", "-d", "amount=42",
			url+"/stream?card=4111", url+"/orders", url+"/nowhere")
	})
}
