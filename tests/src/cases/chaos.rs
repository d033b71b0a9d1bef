//! Everything at once: all manners of misbehaving together, a full descriptor table, and
//! in the midst of it a client that means well. It must not notice.

use std::time::Duration;

use crate::bounds::Bounds;
use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::client::Client;
use crate::ctx::{Ctx, get, request};
use crate::proc;
use crate::verdict::{Step, Stop, Verdict};

/// So many of each kind.
const EACH: usize = 30;
/// So often everybody does what it does.
const ROUNDS: usize = 60;
/// What the server may have: the last clients find no descriptor left.
const DESCRIPTORS: u32 = 200;

fn round_trip(client: &mut Client) -> Verdict {
    client.send(get("/plaintext"))?;
    client.response()?.is(200)?.holds("Hello, World!").map(drop)
}

/// Those who keep their connection, each in a manner of its own.
struct Crowd {
    idle: Vec<Client>,
    heads: Vec<Client>,
    contents: Vec<Client>,
    never_read: Vec<Client>,
}

impl Crowd {
    fn gather(ctx: &mut Ctx<'_>) -> Step<Self> {
        let mut crowd = Self {
            idle: Vec::new(),
            heads: Vec::new(),
            contents: Vec::new(),
            never_read: Vec::new(),
        };
        for _ in 0..EACH {
            let mut idle = ctx.client()?;
            round_trip(&mut idle)?;
            crowd.idle.push(idle);
            let mut head = ctx.client()?;
            head.send("GET /plaintext HTTP/1.1\r\nX: ")?;
            crowd.heads.push(head);
            let mut content = ctx.client()?;
            content.send(request("POST", "/echo", "Content-Length: 500000\r\n"))?;
            crowd.contents.push(content);
            let mut never = ctx.small_client()?;
            never.send(get("/bytes/1073741824"))?;
            crowd.never_read.push(never);
        }
        Ok(crowd)
    }

    /// Each sends as little as keeps hope alive.
    fn drip(&mut self) {
        for client in self.heads.iter_mut().chain(&mut self.contents) {
            client.send_some(b"x");
        }
    }
}

/// They come, ask for much, and are gone.
fn storm(ctx: &mut Ctx<'_>) -> Verdict {
    for target in ["/bytes/1000000", "/plaintext", "/sleep/100"] {
        let mut client = ctx.client()?;
        client.send(get(target))?;
        client.reset();
    }
    Ok(())
}

pub(super) const CASES: &[Case] = &[case(
    "all_together",
    Security,
    "CWE-400; accept(2), EMFILE",
    "Idle clients, dripped heads and contents, clients that never read, resets, and no descriptor left, all at \
     once: one that means well is answered every time, and in the end everything is given back",
    |ctx| {
        ctx.serve_within(
            &[("head-timeout", "1"), ("body-timeout", "1"), ("write-timeout", "1")],
            Bounds { descriptors: Some(DESCRIPTORS), ..Bounds::default() },
        )?;
        let mut good = ctx.client()?;
        round_trip(&mut good)?;
        let pid = ctx.pid()?;
        let known = |descriptors: Option<usize>| {
            descriptors.ok_or_else(|| Stop::skip("no /proc on this system"))
        };
        let before = known(proc::descriptors(pid))?;
        let mut crowd = Crowd::gather(ctx)?;
        for _ in 0..ROUNDS {
            crowd.drip();
            storm(ctx)?;
            round_trip(&mut good)?;
            std::thread::sleep(Duration::from_millis(10));
        }
        // More than there is room for: some of them wait in the backlog.
        let mut late = Vec::new();
        for _ in 0..DESCRIPTORS {
            late.push(ctx.client()?);
        }
        for _ in 0..ROUNDS {
            crowd.drip();
            round_trip(&mut good)?;
        }
        for idle in &mut crowd.idle {
            round_trip(idle)?;
        }
        drop((late, crowd));
        ctx.until("only the one that means well, and the one that asks", |ctx| {
            let answer = ctx.get("/stats")?;
            if answer.status == 503 {
                return Ok(Err("503".to_owned()));
            }
            let open = crate::ctx::stat_in(&answer, "open")?;
            Ok(if open == 2 { Ok(()) } else { Err(format!("open: {open}")) })
        })?;
        ctx.until(&format!("descriptors: {before}, as before"), |_| {
            let now = known(proc::descriptors(pid))?;
            Ok(if now <= before { Ok(()) } else { Err(format!("{now} descriptors")) })
        })?;
        round_trip(&mut good)
    },
)
.clients(500)
.needs(&[Need::Process, Need::Many, Need::Plaintext, Need::Echo, Need::Bytes, Need::Sleep, Need::Stats])
.may_complain()];
