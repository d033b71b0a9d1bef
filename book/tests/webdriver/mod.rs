//! A small WebDriver client: a real browser, driven over HTTP on loopback.
#![allow(dead_code, reason = "each test takes what it needs")]

pub(crate) mod served;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client_suite::environment::normalize;
use serde_json::{Value, json};
use served::Served;
use tempfile::TempDir;

const PAGE: &str = include_str!("page.js");

/// A browser with one window. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// The browser's profile.
    _profile: TempDir,
}

/// The first of these programs that is installed.
fn installed(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where GitHub's machines keep it.
    let beside_path = std::env::var_os("CHROMEWEBDRIVER").map(PathBuf::from);
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).chain(beside_path).collect();
    names
        .iter()
        .flat_map(|name| dirs.iter().map(move |dir| dir.join(name)))
        .find(|file| file.is_file())
}

/// Starts chromedriver, and hears its port. It looks for a free one, and when two do that at
/// the same moment, one of them fails.
fn start_driver(program: &Path) -> Option<(Child, u16)> {
    let mut driver = Command::new(program)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver starts");
    let mut lines = BufReader::new(driver.stdout.take().expect("its output")).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse().ok()
    });
    let Some(port) = port else {
        driver.wait().expect("its end");
        return None;
    };
    // Whatever it says later must find a reader, or it would block one day.
    std::thread::spawn(move || lines.for_each(drop));
    Some((driver, port))
}

impl Browser {
    /// Starts Chromium through chromedriver; `None` where they are not installed.
    pub(crate) fn start() -> Option<Self> {
        let driver = installed(&["chromedriver"])?;
        let browser =
            installed(&["chromium", "chromium-browser", "google-chrome", "chrome"])?;
        // With few descriptors a browser's pages crash.
        normalize().expect("a normalized environment");
        let (driver, port) = (0..5)
            .find_map(|_| start_driver(&driver))
            .expect("chromedriver starts and says its port");
        let profile = tempfile::tempdir().expect("a directory");
        let mut this = Self { driver, port, session: String::new(), _profile: profile };
        let session = this.call("POST", "", &this.capabilities(&browser));
        this.session = session["sessionId"].as_str().expect("a session").to_owned();
        // The browser's own first page is none of ours.
        this.open("about:blank");
        this.logs();
        Some(this)
    }

    fn capabilities(&self, browser: &std::path::Path) -> Value {
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ];
        let profile = format!("--user-data-dir={}", self._profile.path().display());
        let args: Vec<&str> = args.into_iter().chain([profile.as_str()]).collect();
        json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"binary": browser, "args": args},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}})
    }

    /// Goes to a page and waits until it has loaded.
    pub(crate) fn open(&self, url: &str) {
        self.post("url", &json!({"url": url}));
    }

    /// Runs a function's body in the page.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Waits until this says true.
    pub(crate) fn wait_until(&self, script: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.run(script) != true {
            assert!(Instant::now() < deadline, "it does not become so: {script}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses these keys, one after another.
    pub(crate) fn press(&self, keys: &[&str]) {
        let action = |kind: &str, key: &str| json!({"type": kind, "value": key});
        let actions: Vec<Value> = keys
            .iter()
            .flat_map(|key| [action("keyDown", key), action("keyUp", key)])
            .collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("actions", &json!({"actions": [keyboard]}));
    }

    /// Has no script run on the pages that come, or has them run again.
    pub(crate) fn scripts(&self, run: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({"value": !run}));
    }

    /// The window's width, and the colour scheme that the reader's system prefers.
    pub(crate) fn look(&self, width: u32, scheme: &str) {
        let screen = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &screen);
        let media =
            json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    /// A PNG of the whole page, in base64.
    pub(crate) fn picture(&self) -> String {
        let size =
            self.devtools("Page.getLayoutMetrics", &json!({}))["cssContentSize"].clone();
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1});
        let shot = self.devtools(
            "Page.captureScreenshot",
            &json!({"captureBeyondViewport": true, "clip": clip}),
        );
        shot["data"].as_str().expect("a picture").to_owned()
    }

    /// What the console said since the last call, and every URL that was asked for.
    pub(crate) fn logs(&self) -> (Vec<String>, Vec<String>) {
        let entries = |kind: &str| self.post("se/log", &json!({"type": kind}));
        let console = entries("browser");
        let console = console.as_array().into_iter().flatten();
        let console = console
            .map(|entry| format!("{}: {}", entry["level"], entry["message"]))
            .collect();
        let events = entries("performance");
        let events = events.as_array().into_iter().flatten();
        let urls = events
            .filter_map(|entry| {
                serde_json::from_str::<Value>(entry["message"].as_str()?).ok()
            })
            .filter(|event| event["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|event| {
                Some(event["message"]["params"]["request"]["url"].as_str()?.to_owned())
            })
            .collect();
        (console, urls)
    }

    fn devtools(&self, command: &str, params: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": params}))
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        self.call("POST", &format!("/{}/{command}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let mut stream =
            TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver listens");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a deadline");
        let head = format!(
            "{method} /session{path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("a request");
        stream.write_all(body.as_bytes()).expect("a request");
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line of the answer");
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut content = vec![0; length];
        reader.read_exact(&mut content).expect("the answer");
        let answer: Value = serde_json::from_slice(&content).expect("JSON");
        let value = answer["value"].clone();
        assert!(
            value["error"].is_null(),
            "{method} {path}: {} {}",
            value["error"],
            value["message"]
        );
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &format!("/{}", self.session), &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// A browser; where none is installed, nothing, and a word about it.
pub(crate) fn browser() -> Option<Browser> {
    let browser = Browser::start();
    if browser.is_none() {
        assert!(
            std::env::var_os("NO_SKIP").is_none(),
            "no chromedriver and Chromium here: install them"
        );
        eprintln!(
            "SKIPPED: no chromedriver and Chromium here; Debian has them as chromium and chromium-driver"
        );
    }
    browser
}

/// Leaves a picture of the page.
pub(crate) fn keep(browser: &Browser, name: &str) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/book-screens");
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join(format!("{name}.png")), decoded(&browser.picture()))
        .expect("a file");
}

/// Base64, as the browser sends pictures.
fn decoded(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes().filter_map(|c| alphabet.iter().position(|&a| a == c)) {
        bits = bits << 6 | u32::try_from(digit).unwrap_or_default();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or_default());
        }
    }
    bytes
}

/// Opens a page and returns what is wrong with it.
pub(crate) fn problems(browser: &Browser, served: &Served, page: &str) -> Vec<String> {
    browser.open(&served.url(page));
    browser.wait_until(LAB_IS_THERE);
    looked(browser, served)
}

/// Whether the page's script has put the lab around what was measured.
const LAB_IS_THERE: &str = "return [...document.querySelectorAll('.measured')].length === 0 \
    || document.querySelector('.lab-run') !== null \
    && [...document.querySelectorAll('.lab-curve')].every((curve) => curve.querySelector('svg'))";

/// What is wrong with the page as it is.
pub(crate) fn looked(browser: &Browser, served: &Served) -> Vec<String> {
    let looked = browser.run(PAGE);
    let mut found: Vec<String> = looked
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|line| Some(line.as_str()?.to_owned()))
        .collect();
    let (console, urls) = browser.logs();
    found.extend(console.into_iter().map(|line| format!("the console says {line}")));
    let own = format!("http://{}/", served.address);
    // What has no host (data:, chrome: for the browser's own parts) leaves nobody's machine.
    let has_host =
        |url: &String| ["http", "ws"].iter().any(|scheme| url.starts_with(scheme));
    let foreign = urls.into_iter().filter(|url| has_host(url) && !url.starts_with(&own));
    found.extend(foreign.map(|url| format!("asks for {url}")));
    found
}

/// Waits until it is so.
pub(crate) fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
