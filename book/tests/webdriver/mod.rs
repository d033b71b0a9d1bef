//! A small WebDriver client, which controls a real browser over HTTP on loopback.

pub(crate) mod served;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use served::Served;
use tempfile::TempDir;

/// The script that returns the problems of the page on which it runs.
const PAGE: &str = include_str!("page.js");

/// A browser with one window. Dropping the value ends the browser.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    /// The directory of the browser's profile, which exists as long as the browser.
    _profile: TempDir,
}

/// Returns the path of the first program in `names` that is installed.
fn installed(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // On GitHub's machines, chromedriver is in the directory that this variable names.
    let beside_path = std::env::var_os("CHROMEWEBDRIVER").map(PathBuf::from);
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).chain(beside_path).collect();
    names
        .iter()
        .flat_map(|name| dirs.iter().map(move |dir| dir.join(name)))
        .find(|file| file.is_file())
}

/// Starts chromedriver, and returns it with its port. `None` if chromedriver has ended: it searches
/// for a free port, and fails if another process takes that port at the same moment.
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
    // If the later output were not read, it would fill the pipe and block chromedriver.
    std::thread::spawn(move || lines.for_each(drop));
    Some((driver, port))
}

impl Browser {
    /// Starts Chromium through chromedriver. `None` if one of the two programs is not installed.
    pub(crate) fn start() -> Option<Self> {
        let driver = installed(&["chromedriver"])?;
        let browser =
            installed(&["chromium", "chromium-browser", "google-chrome", "chrome"])?;
        // `normalized` raises the limit on descriptors: with few descriptors a browser's pages crash.
        crate::normalized();
        let (driver, port) = (0..5)
            .find_map(|_| start_driver(&driver))
            .expect("chromedriver starts and says its port");
        let profile = tempfile::tempdir().expect("a directory");
        let mut this = Self { driver, port, session: String::new(), _profile: profile };
        let session = this.call("POST", "", &this.capabilities(&browser));
        this.session = session["sessionId"].as_str().expect("a session").to_owned();
        this.reset();
        Some(this)
    }

    /// Leaves the open page, and undoes what a test may have set, except the look.
    fn reset(&self) {
        self.minimize(true);
        self.scripts(true);
        self.open("about:blank");
        // Discard what earlier pages have written to the log.
        self.logs();
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
            // With `enablePage` set to false, the performance log has no events about pages. The
            // method `logs` reads only the log's events about requests.
            "goog:chromeOptions": {"binary": browser, "args": args, "perfLoggingPrefs": {"enablePage": false}},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}})
    }

    /// Minimizes the window if `hide` is true, and otherwise shows it. For a page in a minimized
    /// window the browser computes styles and layout, but paints nothing, which saves half of its
    /// processor time, and notifies it of nothing that comes with a painted frame: scrolling, other
    /// preferences of the system, layout shifts.
    pub(crate) fn minimize(&self, hide: bool) {
        let id = &self.devtools("Browser.getWindowForTarget", &json!({}))["windowId"];
        let state = if hide { "minimized" } else { "normal" };
        let bounds = json!({"windowId": id, "bounds": {"windowState": state}});
        self.devtools("Browser.setWindowBounds", &bounds);
    }

    /// Opens the page at `url`, and waits until the browser has loaded it. On a busy machine
    /// chromedriver may answer while the earlier page is still open, or while the new one loads.
    pub(crate) fn open(&self, url: &str) {
        self.run("window.isEarlier = true");
        self.post("url", &json!({"url": url}));
        self.wait_until("return !window.isEarlier && document.readyState === 'complete'");
    }

    /// Runs a script in the page, as the body of a function, and returns the function's result.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// Runs the script again and again until the script returns true.
    ///
    /// # Panics
    ///
    /// The script has not returned true within a minute.
    pub(crate) fn wait_until(&self, script: &str) {
        let is_true = wait(|| (self.run(script) == true).then_some(()));
        is_true.unwrap_or_else(|| panic!("does not become true: {script}"));
    }

    /// Presses and releases the keys `keys`, one after another.
    pub(crate) fn press(&self, keys: &[&str]) {
        let action = |kind: &str, key: &str| json!({"type": kind, "value": key});
        let actions: Vec<Value> = keys
            .iter()
            .flat_map(|key| [action("keyDown", key), action("keyUp", key)])
            .collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.post("actions", &json!({"actions": [keyboard]}));
    }

    /// Focuses the element that the JavaScript expression `element` returns and presses `key`, again
    /// and again until the script returns true. On a busy machine, a key may arrive before the focus
    /// has moved.
    ///
    /// # Panics
    ///
    /// The script has not returned true within a minute.
    pub(crate) fn press_in(&self, element: &str, key: &str, script: &str) {
        let is_true = wait(|| {
            self.run(&format!("{element}?.focus()"));
            self.press(&[key]);
            (self.run(script) == true).then_some(())
        });
        is_true.unwrap_or_else(|| panic!("does not become true: {script}"));
    }

    /// Enables scripts on the pages opened from now on if `run` is true, and otherwise disables
    /// them.
    pub(crate) fn scripts(&self, run: bool) {
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({"value": !run}));
    }

    /// Sets the window's width in pixels, and the color scheme that the system prefers.
    pub(crate) fn look(&self, width: u32, scheme: &str) {
        let screen = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &screen);
        let media =
            json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &media);
    }

    /// Shows the window, and returns a picture of what it shows, in WebP.
    pub(crate) fn view(&self) -> Vec<u8> {
        self.minimize(false);
        let format = json!({"format": "webp", "quality": 90});
        let shot = self.devtools("Page.captureScreenshot", &format);
        decoded(shot["data"].as_str().expect("a picture"))
    }

    /// Shows the window, and returns a picture of the whole page, as PNG in base64.
    pub(crate) fn picture(&self) -> String {
        self.minimize(false);
        let size =
            self.devtools("Page.getLayoutMetrics", &json!({}))["cssContentSize"].clone();
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1});
        let shot = self.devtools(
            "Page.captureScreenshot",
            &json!({"captureBeyondViewport": true, "clip": clip}),
        );
        shot["data"].as_str().expect("a picture").to_owned()
    }

    /// Returns the console's messages since the last call to `logs`, and all URLs requested since
    /// then.
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

    /// Sends a command of the Chrome DevTools Protocol, and returns its result.
    fn devtools(&self, command: &str, params: &Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": params}))
    }

    /// Sends a WebDriver command to the browser's session, and returns the value in the answer.
    fn post(&self, command: &str, body: &Value) -> Value {
        self.call("POST", &format!("/{}/{command}", self.session), body)
    }

    /// Sends a request to chromedriver, and returns the value in its answer.
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
        stream.write_all((head + &body).as_bytes()).expect("a request");
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
        if !self.session.is_empty() {
            // A second panic must not leave this function while the thread unwinds from a first.
            let end = || self.call("DELETE", &format!("/{}", self.session), &json!({}));
            let _ = catch_unwind(AssertUnwindSafe(end));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Starts a browser. If none is installed, returns `None` after printing that the test is skipped.
///
/// # Panics
///
/// No browser is installed, and the environment variable `NO_SKIP` is set.
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

/// Runs the tests one after another in one browser, because the start of a browser takes longer than
/// most of them. Runs none if no browser is installed.
///
/// # Panics
///
/// A test has panicked. The others are run all the same.
pub(crate) fn in_one_browser(tests: &[fn(&Browser)]) {
    let Some(browser) = browser() else { return };
    let mut failed = 0;
    for test in tests {
        failed += usize::from(catch_unwind(AssertUnwindSafe(|| test(&browser))).is_err());
        browser.reset();
    }
    assert!(failed == 0, "{failed} of {} tests in one browser have failed", tests.len());
}

/// Stores a picture of the page as target/book-screens/NAME.png.
pub(crate) fn keep(browser: &Browser, name: &str) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/book-screens");
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join(format!("{name}.png")), decoded(&browser.picture()))
        .expect("a file");
}

/// Decodes base64, the form in which the browser sends pictures.
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

/// Opens a page of the book, waits until the lab's script has added its boxes, and returns the
/// page's problems.
pub(crate) fn problems(browser: &Browser, served: &Served, page: &str) -> Vec<String> {
    browser.open(&served.url(page));
    browser.wait_until(LAB_IS_THERE);
    looked(browser, &served.origin())
}

/// A script that tests whether the lab's script has added its boxes to the page's figures.
const LAB_IS_THERE: &str = "return [...document.querySelectorAll('.measured')].length === 0 \
    || document.querySelector('.lab-run') !== null \
    && [...document.querySelectorAll('.lab-curve')].every((curve) => curve.querySelector('svg'))";

/// Returns the problems of the open page: those that [`PAGE`] finds, messages on the console, and
/// requests to other origins than `own`.
pub(crate) fn looked(browser: &Browser, own: &str) -> Vec<String> {
    let looked = browser.run(PAGE);
    let mut found: Vec<String> = looked
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|line| Some(line.as_str()?.to_owned()))
        .collect();
    let (console, urls) = browser.logs();
    found.extend(console.into_iter().map(|line| format!("the console says {line}")));
    // A URL without a host (data:, or chrome: for the browser's own parts) causes no request.
    let has_host =
        |url: &String| ["http", "ws"].iter().any(|scheme| url.starts_with(scheme));
    let foreign = urls.into_iter().filter(|url| has_host(url) && !url.starts_with(own));
    found.extend(foreign.map(|url| format!("asks for {url}")));
    found
}

/// Calls `look` until it returns `Some`, and returns the value. `None` if one minute passes first.
pub(crate) fn wait<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match look() {
            None if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20))
            }
            seen => return seen,
        }
    }
}
