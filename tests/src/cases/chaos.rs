//! A case with every kind of misbehavior at the same time, while the server runs out of
//! descriptors. A well-behaved client must be served throughout.

use std::time::Duration;

use crate::case::Kind::Security;
use crate::case::{Case, Need, case};
use crate::cases::many::round_trip;
use crate::cases::resources::known;
use crate::client::Client;
use crate::ctx::{Ctx, get, request};
use crate::proc;
use crate::rlimits::Rlimits;
use crate::verdict::{CaseResult, Verdict};

/// Number of misbehaving clients of each kind.
const EACH: usize = 30;
/// Number of rounds in which every client misbehaves once.
const ROUNDS: usize = 60;
/// The server's limit on open descriptors: lower than the number of clients that the case connects.
const DESCRIPTORS: u32 = 200;

/// Misbehaving clients that keep their connections open, by kind of misbehavior.
struct Crowd {
    idle: Vec<Client>,
    heads: Vec<Client>,
    contents: Vec<Client>,
    never_read: Vec<Client>,
}

impl Crowd {
    fn gather(ctx: &mut Ctx<'_>) -> CaseResult<Self> {
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

    /// Sends one byte on every connection with an incomplete request.
    fn drip(&mut self) {
        for client in self.heads.iter_mut().chain(&mut self.contents) {
            client.send_some(b"x");
        }
    }
}

/// Connects three clients, one after another; each requests a long or slow response and resets the
/// connection.
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
    "With idle clients, dripped heads and contents, clients that never read, resets, and no descriptor left, \
    a well-behaved client is answered every time, and at the end every resource is released",
    |ctx| {
        ctx.serve_with_rlimits(
            &[("head-timeout", "1"), ("body-timeout", "1"), ("write-timeout", "1")],
            Rlimits { descriptors: Some(DESCRIPTORS), ..Rlimits::default() },
        )?;
        let mut good = ctx.client()?;
        round_trip(&mut good)?;
        let pid = ctx.pid()?;
        let before = known(proc::descriptors(pid))?;
        let mut crowd = Crowd::gather(ctx)?;
        for _ in 0..ROUNDS {
            crowd.drip();
            storm(ctx)?;
            round_trip(&mut good)?;
            std::thread::sleep(Duration::from_millis(10));
        }
        // Connect more clients than the server has descriptors, so that some connections stay in
        // the listener's backlog.
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
        ctx.poll_until("`open` in /stats is 2: the well-behaved client, and the client that asks", |ctx| {
            let answer = ctx.get("/stats")?;
            if answer.status == 503 {
                return Ok(Err("503".to_owned()));
            }
            let open = crate::ctx::counter_in(&answer, "open")?;
            Ok(if open == 2 { Ok(()) } else { Err(format!("open: {open}")) })
        })?;
        ctx.poll_until(&format!("{before} descriptors, as before"), |_| {
            let now = known(proc::descriptors(pid))?;
            Ok(if now <= before { Ok(()) } else { Err(format!("{now} descriptors")) })
        })?;
        round_trip(&mut good)
    },
)
.clients(500)
.lasts(2)
.needs(&[Need::Process, Need::Many, Need::Plaintext, Need::Echo, Need::Bytes, Need::Sleep, Need::Stats])
.may_log()];
