//! may_minihttp with one worker: coroutines, a minimum of HTTP, no files.

use std::io;

use may_minihttp::{HttpServer, HttpService, Request, Response};
use peers::{HELLO, chosen, options, say};

/// What makes its answer as long as the others': it sends a `Server` that cannot be
/// switched off, so the type has to be shorter.
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
    // The core is chosen by whoever starts it.
    may::config().set_workers(1).set_worker_pin(false);
    let address = chosen(options.listen)?;
    let server = HttpServer(Plaintext).start(address)?;
    say(address)?;
    server.join().map_err(|_| io::Error::other("the server has panicked"))
}
