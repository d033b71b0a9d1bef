/* A server in C to begin with: one client after the other, and one read for each.
 * It reaches the first rung: cc -o hello hello.c && ./hello PORT */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void answer(int client) {
    char head[1025] = "", out[512];
    const char *line = "GET /plaintext HTTP/1.1\r\n";
    if (read(client, head, 1024) < 0) /* the second rung: a head may come in pieces */
        return;
    int found = strncmp(head, line, strlen(line)) == 0;
    const char *text = found ? "Hello, World!" : "501 only GET /plaintext\n";
    int length = snprintf(out, sizeof out,
                          "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"
                          "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                          found ? "200 OK" : "501 Not Implemented", strlen(text), text);
    if (write(client, out, length) < 0)
        return; /* a client that fails costs its own connection */
}

int main(int argc, char **argv) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 8080)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    signal(SIGPIPE, SIG_IGN);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128))
        return perror("listen"), 1;
    for (int client;;)
        if ((client = accept(listener, NULL, NULL)) >= 0)
            answer(client), close(client);
}
