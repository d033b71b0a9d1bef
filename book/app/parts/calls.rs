//! The index of system calls: what the servers ask of the kernel, in which file, and where the
//! book speaks of it. The places are looked up each time, so they cannot be wrong for long;
//! and what the sources call and this list does not know is a problem of the check.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use regex::Regex;

use super::pages::{Pages, sections};
use crate::checks::{Problem, files};
use crate::house::House;

/// A call.
struct Call {
    name: &'static str,
    /// Of the manual.
    section: u8,
    /// What we have of it.
    does: &'static str,
    /// How the sources say it: regular expressions.
    code: &'static [&'static str],
    /// How the pages say it, if not by its name.
    told: &'static str,
    /// Pages on which this name is that of something else.
    but: &'static [&'static str],
}

const fn call(
    name: &'static str,
    section: u8,
    does: &'static str,
    code: &'static [&'static str],
) -> Call {
    Call { name, section, does, code, told: "", but: &[] }
}

impl Call {
    const fn told(self, told: &'static str) -> Call {
        Call { told, ..self }
    }

    const fn but(self, but: &'static [&'static str]) -> Call {
        Call { but, ..self }
    }
}

/// All of them, by name.
const CALLS: &[Call] = &[
    call(
        "_exit",
        2,
        "ends a forked child at once, without what the parent has registered",
        &[r"libc::_exit\("],
    ),
    call(
        "abort",
        3,
        "ends the process where nothing sensible is left",
        &[r"libc::abort\(", r"process::abort\("],
    ),
    call(
        "accept4",
        2,
        "takes the next connection from the backlog",
        &[r"\baccept4\b", r"\.accept\(\)"],
    ),
    call("bind", 2, "gives a socket its address", &[r"socket\.bind\("]),
    call(
        "clock_gettime",
        2,
        "what time it is; answered without entering the kernel (vdso(7))",
        &[r"Instant::now\(\)"],
    )
    .told(r"shows its clock"),
    call("clone", 2, "makes a thread", &[r"spawn_scoped\("]),
    call(
        "close",
        2,
        "gives a descriptor back: whenever an owner of one is dropped",
        &[r"OwnedFd"],
    )
    .but(&["ch02-threadpool.md"]), // the queue's
    call(
        "epoll_create1",
        2,
        "makes the two lists that the kernel keeps",
        &[r"epoll::Epoll::new\("],
    ),
    call(
        "epoll_ctl",
        2,
        "puts a descriptor on the interest list, changes it, takes it off",
        &[r"kernel\s*\.(?:add|modify|delete)\("],
    ),
    call("epoll_wait", 2, "copies out the ready list", &[r"kernel\s*\.wait\("]),
    call(
        "fcntl",
        2,
        "sets what a descriptor does: not wait, send signals, close on exec",
        &[r"libc::fcntl\(", r"\bfcntl\(", r"set_nonblocking\("],
    )
    .told(r"O_NONBLOCK`"),
    call("fork", 2, "makes a copy of the process", &[r"unistd::fork\("]),
    call("fstat", 2, "a file's length and time", &[r"\.metadata\(\)"]),
    call(
        "futex",
        2,
        "what is below `Mutex` and `Condvar`",
        &[r"\bMutex\b", r"\bCondvar\b"],
    ),
    call(
        "getrandom",
        2,
        "here only to ask whether a page can be written",
        &[r"libc::getrandom\("],
    ),
    call(
        "getrlimit",
        2,
        "the limit of descriptors; `setrlimit` raises it",
        &[r"\bgetrlimit\b", r"\bsetrlimit\b"],
    )
    .told(r"limited number of descriptors|limit of descriptors"),
    call("gettid", 2, "who is to be told by signal", &[r"libc::gettid\("])
        .told(r"F_SETOWN_EX`"),
    call(
        "ioctl",
        2,
        "how much of what was sent is unacknowledged (`TIOCOUTQ`, which is `SIOCOUTQ`)",
        &[r"libc::ioctl\("],
    )
    .told(r"SIOCOUTQ"),
    call(
        "kevent",
        2,
        "on BSD and macOS: changes the list and waits, in one call",
        &[r"kernel\s*\.kevent\("],
    ),
    call("kill", 2, "sends a signal: the parent's, to its children", &[r"\bkill\("])
        .told(r"sends SIGTERM"),
    call("kqueue", 2, "on BSD and macOS: makes the list", &[r"event::Kqueue::new\("]),
    call("listen", 2, "lets clients connect", &[r"socket\.listen\("]),
    call(
        "madvise",
        2,
        "gives a stack's pages back; installs a guard",
        &[r"libc::madvise\("],
    ),
    call("mincore", 2, "which pages of a stack were ever touched", &[r"libc::mincore\("]),
    call(
        "mmap",
        2,
        "addresses for stacks; memory that processes share",
        &[r"libc::mmap\(", r"\bmmap_anonymous\b"],
    ),
    call(
        "mprotect",
        2,
        "makes a guard page where `madvise` cannot",
        &[r"libc::mprotect\("],
    ),
    call("munmap", 2, "gives addresses back", &[r"libc::munmap\("]),
    call(
        "openat2",
        2,
        "opens a file below the root and nowhere else (through `cap-std`)",
        &[r"open_with\(", r"\.open\("],
    ),
    call(
        "pipe",
        2,
        "two descriptors: the stop, and the bell of an injector",
        &[r"unistd::pipe\(", r"sys::pipe\("],
    )
    .told(r"\bpipe\b"),
    call(
        "poll",
        2,
        "waits for any of a list of descriptors",
        &[r"libc::poll\(", r"nix::poll::"],
    )
    .but(&["ch06-async.md"]), // a future's
    call("prctl", 2, "to be told when the parent dies", &[r"\bset_pdeathsig\("]),
    call(
        "pread",
        2,
        "reads a file at a place, where `sendfile` is not to be had",
        &[r"\bread_at\("],
    ),
    call(
        "pthread_sigmask",
        3,
        "keeps signals waiting in their queue",
        &[r"libc::pthread_sigmask\("],
    )
    .told(r"We block it"),
    call(
        "read",
        2,
        "takes bytes that came (on a socket, `recvfrom` in `strace`)",
        &[r"(?:0|socket|socket\)|bell)\.read\(", r"unistd::read\("],
    ),
    call(
        "select",
        2,
        "waits for any of a set of descriptors below 1024",
        &[r"libc::select\("],
    ),
    call(
        "send",
        2,
        "as `write`, with flags: a byte out of turn (`MSG_OOB`), or where `sendfile` is not to be had",
        &[r"socket::send\("],
    )
    .but(&["ch06-coroutines.md", "ch06-async.md"]), // a channel's
    call(
        "sendfile",
        2,
        "from a file to a socket, without a copy through the program",
        &[r"\bsendfile64\("],
    ),
    call(
        "setsockopt",
        2,
        "no delay, several listeners at one address, deadlines of a blocking socket",
        &[
            r"libc::setsockopt\(",
            r"\.set_(?:tcp_nodelay|reuse_address|reuse_port|read_timeout|write_timeout)\(",
        ],
    )
    .told(r"SO_(?:RCVTIMEO|REUSEPORT)"),
    call(
        "shutdown",
        2,
        "finishes one direction; reaches a thread that sleeps in `read`",
        &[r"libc::shutdown\(", r"\.shutdown\("],
    ),
    call("sigaction", 2, "who handles a signal", &[r"\bsigaction\("])
        .told(r"SIGCHLD|handler for the signal"),
    call(
        "sigaltstack",
        2,
        "a stack for the handler, when one's own is full",
        &[r"libc::sigaltstack\("],
    ),
    call(
        "sigsetops",
        3,
        "`sigemptyset`, `sigaddset`: sets of signals",
        &[r"libc::sigemptyset\(", r"libc::sigaddset\("],
    ),
    call(
        "sigtimedwait",
        2,
        "takes a signal from its queue, or waits for one",
        &[r"libc::sigtimedwait\("],
    ),
    call("socket", 2, "makes a socket", &[r"Socket::new\("]),
    call("sysconf", 3, "how large a page is", &[r"libc::sysconf\("]),
    call("waitpid", 2, "how a child has ended, so that it may go", &[r"\bwaitpid\("]),
    call(
        "write",
        2,
        "hands over bytes to be sent (on a socket, `sendto` in `strace`)",
        &[r"libc::write\(", r"(?:0|socket|stream|bell)\.write\("],
    ),
];

/// A source of a chapter, without its comments and its tests.
struct Source {
    name: PathBuf,
    code: String,
}

fn sources(house: &House) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for number in 1..=6 {
        let chapter = format!("ch0{number}-");
        for entry in std::fs::read_dir(house.checkout())? {
            let dir = entry?.path();
            if !dir
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .starts_with(&chapter)
            {
                continue;
            }
            for path in files(&dir.join("src"), "rs")? {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                let own = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
                let code: String = own
                    .lines()
                    .map(|line| line.split("//").next().unwrap_or_default())
                    .map(|line| format!("{line}\n"))
                    .collect();
                let name =
                    path.strip_prefix(house.checkout()).unwrap_or(&path).to_owned();
                sources.push(Source { name, code });
            }
        }
    }
    Ok(sources)
}

/// The index.
pub(super) fn table(house: &House, pages: &Pages) -> Result<String> {
    let sources = sources(house)?;
    let mut table = String::from(
        "| call | what for | where the book speaks of it | where the code does |\n|---|---|---|---|\n",
    );
    for call in CALLS {
        let page = spoken_of(call)?;
        let mut places = Vec::new();
        let is_meant = |file: &str| is_told(file) && !call.but.contains(&file);
        for chapter in pages.0.iter().filter(|page| is_meant(&page.file)) {
            // Once a page, where it is first: the reader goes on from there.
            if let Some(section) = sections(&chapter.text)
                .iter()
                .find(|section| page.is_match(&section.text))
            {
                places.push(format!(
                    "[{}: {}]({}#{})",
                    short(&chapter.file, &chapter.title),
                    section.title,
                    chapter.file,
                    section.id
                ));
            }
        }
        let code = call
            .code
            .iter()
            .map(|code| Regex::new(code))
            .collect::<Result<Vec<_>, _>>()?;
        let found: Vec<String> = sources
            .iter()
            .filter(|source| code.iter().any(|code| code.is_match(&source.code)))
            .map(|source| format!("`{}`", shorter(&source.name)))
            .collect();
        table += &format!(
            "| `{}({})` | {} | {} | {} |\n",
            call.name,
            call.section,
            call.does,
            if places.is_empty() { "–".to_owned() } else { places.join("<br>") },
            if found.is_empty() { "–".to_owned() } else { found.join("<br>") },
        );
    }
    Ok(table)
}

/// As the pages name it: in code, alone or with what it is given, or with its manual's section.
fn spoken_of(call: &Call) -> Result<Regex> {
    let name = regex::escape(call.name);
    // accept4 is told as accept, and openat2 as open: the kernel's newer forms of them.
    let name = match call.name {
        "accept4" => "accept4?".to_owned(),
        "openat2" => "open(?:at2)?".to_owned(),
        "getrlimit" => "[gs]etrlimit".to_owned(),
        "epoll_create1" => "epoll_create1?".to_owned(),
        _ => name,
    };
    let or = if call.told.is_empty() { String::new() } else { format!("|{}", call.told) };
    let manual = call.section;
    Ok(Regex::new(&format!(r"`{name}(?:\([^`]*\))?`|\b{name}\({manual}\){or}"))?)
}

/// `ch01-blocking/src/server/sys.rs` is `ch01/server/sys.rs` here.
fn shorter(name: &Path) -> String {
    let name = name.display().to_string();
    match name.split_once("/src/") {
        Some((chapter, file)) => format!("{}/{file}", &chapter[..4]),
        None => name,
    }
}

fn is_told(file: &str) -> bool {
    file.starts_with("ch0")
}

fn short(file: &str, title: &str) -> String {
    match file.strip_prefix("ch0").and_then(|rest| rest.chars().next()) {
        Some(number) => format!("{number}"),
        None => title.to_owned(),
    }
}

/// What the sources call by `libc` or `nix` and the list does not know; and what it knows and
/// nobody calls any more.
pub(super) fn unknown(house: &House) -> Result<Vec<Problem>> {
    let sources = sources(house)?;
    let raw = Regex::new(r"\b(?:libc::|nix::(?:[a-z]\w*::)+)[a-z_]\w*\(")?;
    let problem =
        |place: &Path, what: String| Problem { place: place.display().to_string(), what };
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for source in &sources {
        for found in raw.find_iter(&source.code) {
            let known = CALLS.iter().flat_map(|call| call.code).any(|code| {
                Regex::new(code).is_ok_and(|code| code.is_match(found.as_str()))
            });
            if !known && seen.insert(found.as_str()) {
                let what = format!(
                    "calls {}…), which the index of system calls (book/app/parts/calls.rs) does not know",
                    found.as_str()
                );
                problems.push(problem(&source.name, what));
            }
        }
    }
    for call in CALLS {
        let called = call.code.iter().any(|code| {
            Regex::new(code).is_ok_and(|code| {
                sources.iter().any(|source| code.is_match(&source.code))
            })
        });
        if !called {
            let what = format!(
                "nothing in the chapters calls {} any more, as book/app/parts/calls.rs says it",
                call.name
            );
            problems.push(problem(Path::new("system-calls.md"), what));
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_in_order() {
        assert!(CALLS.is_sorted_by_key(|call| call.name));
    }

    #[test]
    fn a_call_is_found_as_the_pages_name_it() {
        let [poll, accept] = ["poll", "accept4"].map(|name| {
            let call = CALLS.iter().find(|call| call.name == name).expect("in the list");
            spoken_of(call).expect("an expression")
        });
        assert!(
            poll.is_match("by `poll`,")
                && poll.is_match("poll(2)")
                && poll.is_match("`poll(fds)`")
        );
        assert!(!poll.is_match("a poll, `epoll`, epoll(7), `poller`"));
        assert!(accept.is_match("`accept`") && accept.is_match("accept4(2)"));
    }
}
