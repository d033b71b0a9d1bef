//! A server to write: see the assignment.

mod request;

fn main() {
    todo!("listen, print the address, and serve each client")
}
