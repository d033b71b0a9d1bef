//! A submission that does not compile.

mod request;

fn main() {
    let listener: TcpListener = "not imported";
}
