//! A submission that cheats when it runs: it is no server, and prints fake results.

fn main() {
    println!("listening on http://127.0.0.1:9");
    println!("test result: ok. 11 passed; 0 failed");
    println!("100 of 100 points");
}
