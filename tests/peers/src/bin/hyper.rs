//! hyper 1 on tokio. One thread serves all connections, but does not read files: they are read with
//! tokio's `File`, whose reads run on tokio's blocking threads. All these threads share one core.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use peers::{HELLO, TEXT, announce, listen, options};
use tokio::fs::File;
use tokio::net::TcpListener;
use tokio_util::io::ReaderStream;

/// Number of bytes of a file per read.
const PIECE: usize = 64 * 1024;

type Answer = Response<Either<Full<Bytes>, UnsyncBoxBody<Bytes, io::Error>>>;

fn main() -> io::Result<()> {
    let options = options();
    let listener = listen(options.listen)?;
    announce(listener.local_addr()?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        serve(TcpListener::from_std(listener)?, options.root.into()).await
    })
}

async fn serve(listener: TcpListener, root: Rc<Path>) -> io::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        let root = Rc::clone(&root);
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| answer(request, &root));
            // Without `pipeline_flush` hyper sends each of several pipelined responses with a
            // separate write.
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(socket), service)
                .await; // An error, such as a reset, ends only this connection.
        });
    }
}

async fn answer(request: Request<Incoming>, root: &Path) -> Result<Answer, Infallible> {
    if request.uri().path() == "/plaintext" {
        let mut answer = text(HELLO);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
        return Ok(answer);
    }
    Ok(file(request.uri().path(), root).await.unwrap_or_else(|_| {
        let mut answer = text("not found\n");
        *answer.status_mut() = StatusCode::NOT_FOUND;
        answer
    }))
}

fn text(text: &'static str) -> Answer {
    Response::new(Either::Left(Full::new(Bytes::from_static(text.as_bytes()))))
}

/// Serves a file directly below the root, and no other file: that is enough for measuring.
async fn file(path: &str, root: &Path) -> io::Result<Answer> {
    let name = path.trim_start_matches('/');
    if name.contains('/') || name.starts_with('.') {
        return Err(io::ErrorKind::NotFound.into());
    }
    let file = File::open(root.join(name)).await?;
    let length = file.metadata().await?.len();
    let pieces = ReaderStream::with_capacity(file, PIECE).map_ok(Frame::data);
    let body = StreamBody::new(pieces).boxed_unsync();
    let mut answer = Response::new(Either::Right(body));
    answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    Ok(answer)
}
