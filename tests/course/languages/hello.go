// A server in Go to begin with: one client after the other, and one read for each.
// It reaches the first rung: go build hello.go && ./hello PORT
package main

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"os"
)

func answer(client net.Conn) {
	defer client.Close()
	head := make([]byte, 1024)
	n, err := client.Read(head) // the second rung: a head may come in pieces
	if err != nil {
		return // a client that fails costs its own connection
	}
	status, text := "501 Not Implemented", "501 only GET /plaintext\n"
	if bytes.HasPrefix(head[:n], []byte("GET /plaintext HTTP/1.1\r\n")) {
		status, text = "200 OK", "Hello, World!"
	}
	fmt.Fprintf(client, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s", status, len(text), text)
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		if client, err := listener.Accept(); err == nil {
			answer(client)
		}
	}
}
