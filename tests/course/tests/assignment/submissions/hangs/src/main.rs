//! A server that accepts clients and never responds.

use std::io::Read;
use std::net::TcpListener;
use std::thread;

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on http://{}", listener.local_addr()?);
    for mut client in listener.incoming().flatten() {
        thread::spawn(move || while client.read(&mut [0; 4096]).is_ok_and(|n| n > 0) {});
    }
    Ok(())
}
