//! actix-web 4 with one worker, and actix-files. actix-web accepts connections on a separate
//! thread, which shares one core with the worker.

use std::io;

use actix_files::NamedFile;
use actix_web::web::{self, Data, Path};
use actix_web::{App, HttpResponse, HttpServer};
use peers::{HELLO, TEXT, announce, listen, options};

#[actix_web::main]
async fn main() -> io::Result<()> {
    let options = options();
    let listener = listen(options.listen)?;
    announce(listener.local_addr()?)?;
    let root = Data::new(options.root);
    let application = move || {
        App::new()
            .app_data(root.clone())
            .route("/plaintext", web::get().to(plaintext))
            .route("/{name}", web::get().to(file))
    };
    HttpServer::new(application)
        .workers(1)
        .keep_alive(peers::KEEP_ALIVE)
        .listen(listener)?
        .run()
        .await
}

async fn plaintext() -> HttpResponse {
    HttpResponse::Ok().content_type(TEXT).body(HELLO)
}

/// Serves a file directly below the root, and no other file: that is enough for measuring.
async fn file(
    name: Path<String>,
    root: Data<std::path::PathBuf>,
) -> io::Result<NamedFile> {
    if name.contains('/') || name.starts_with('.') {
        return Err(io::ErrorKind::NotFound.into());
    }
    NamedFile::open_async(root.join(name.as_str())).await
}
