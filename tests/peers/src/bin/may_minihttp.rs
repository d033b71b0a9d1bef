//! may_minihttp with one worker: coroutines, a minimum of HTTP, no files.

use std::io;

use may_minihttp::{HttpServer, HttpService, Request, Response};
use peers::{HELLO, announce, choose_port, options};

/// A Content-Type that is shorter than the other peers', so that the response has the length of
/// their responses: this server sends a `Server` field that cannot be switched off.
const TYPE: &str = "Content-Type: text/plain;v=1";

#[derive(Clone)]
struct Plaintext;

impl HttpService for Plaintext {
    fn call(&mut self, request: Request, response: &mut Response) -> io::Result<()> {
        if request.path() == "/plaintext" {
            response.header(TYPE).body(HELLO);
        } else {
            response.status_code(404, "Not Found");
        }
        Ok(())
    }
}

fn main() -> io::Result<()> {
    let options = options();
    // The command that starts this peer chooses the core.
    may::config().set_workers(1).set_worker_pin(false);
    let address = choose_port(options.listen)?;
    let server = HttpServer(Plaintext).start(address)?;
    announce(address)?;
    server.join().map_err(|_| io::Error::other("the server panicked"))
}
