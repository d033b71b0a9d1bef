//! The server that the student is to write, as the assignment says.

mod request;

fn main() {
    todo!("listen, print the address, and serve each client")
}
