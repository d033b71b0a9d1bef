"""A server in Python to begin with: one client after the other, and one read for each.

It reaches the first rung: python3 hello.py PORT
"""
import socket
import sys


def answer(client):
    head = client.recv(1024)  # the second rung: a head may come in pieces
    if head.startswith(b"GET /plaintext HTTP/1.1\r\n"):
        status, text = "200 OK", "Hello, World!"
    else:
        status, text = "501 Not Implemented", "501 only GET /plaintext\n"
    client.sendall(
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode()
    )


def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    while True:
        client, _ = listener.accept()
        try:
            with client:
                answer(client)
        except OSError:
            pass  # a client that fails costs its own connection


main()
