//! The book in a real browser, served by our own server: no error, no request
//! to another host, nothing that does not fit, in light and dark, wide and narrow.
//! BOOK_SCREENS=1 leaves a picture of every page in target/book-screens/.

mod webdriver;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use book::checks::files;
use tempfile::TempDir;
use webdriver::Browser;

const PAGE: &str = include_str!("webdriver/page.js");

/// The book, served as a reader's `cargo run` would.
struct Served {
    child: Child,
    address: String,
    out: TempDir,
}

impl Served {
    fn start() -> Self {
        let out = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(env!("CARGO_BIN_EXE_book"))
            .args(["--listen", "127.0.0.1:0", "--out"])
            .arg(out.path().join("book"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the book starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output"))
            .read_line(&mut line)
            .expect("a line");
        let address =
            line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.expect("an address").to_owned();
        Self { child, address, out }
    }

    fn dir(&self) -> std::path::PathBuf {
        self.out.path().join("book")
    }

    /// The pages that a reader opens; print.html would open the print dialogue.
    fn pages(&self) -> Vec<String> {
        let dir = self.dir();
        let names = files(&dir, "html").expect("pages").into_iter().map(|path| {
            path.strip_prefix(&dir).expect("below").to_string_lossy().into_owned()
        });
        names.filter(|name| !matches!(name.as_str(), "print.html" | "toc.html")).collect()
    }

    fn url(&self, page: &str) -> String {
        format!("http://{}/{page}", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser; where none is installed, nothing, and a word about it.
fn browser() -> Option<Browser> {
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

/// Opens a page and returns what is wrong with it.
fn problems(browser: &Browser, served: &Served, page: &str) -> Vec<String> {
    browser.open(&served.url(page));
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

#[test]
fn every_page_is_well_in_light_and_dark_wide_and_narrow() {
    let Some(browser) = browser() else { return };
    let served = Served::start();
    let mut wrong = Vec::new();
    for (width, scheme) in
        [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")]
    {
        browser.look(width, scheme);
        for page in served.pages() {
            for what in problems(&browser, &served, &page) {
                wrong.push(format!("{page}, {width} px, {scheme}: {what}"));
            }
            let theme = browser.run("return document.documentElement.className");
            let dark = theme.as_str().is_some_and(|classes| classes.contains("navy"));
            assert_eq!(
                dark,
                scheme == "dark",
                "{page} does not follow the system's colours: {theme}"
            );
            if std::env::var_os("BOOK_SCREENS").is_some() {
                keep(
                    &browser,
                    &format!(
                        "{}-{scheme}-{width}",
                        page.replace('/', "-").replace(".html", "")
                    ),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn boxes_open_and_the_search_finds() {
    let Some(browser) = browser() else { return };
    let served = Served::start();
    browser.look(1280, "light");
    browser.open(&served.url("how-to-use.html"));
    let hidden = "return document.querySelector('details.predict > :not(summary)').checkVisibility() === false";
    assert_eq!(
        browser.run(hidden),
        true,
        "the answer is in sight before anybody predicted"
    );
    browser.run("document.querySelector('details.predict > summary').click()");
    assert_eq!(browser.run(hidden), false, "the answer does not come");
    browser.open(&served.url("index.html?search=contract"));
    let results = "return document.querySelectorAll('#mdbook-searchresults li').length";
    let deadline = Instant::now() + Duration::from_secs(20);
    while browser.run(results).as_u64().unwrap_or_default() == 0 {
        assert!(Instant::now() < deadline, "the search finds nothing");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_bad_page_is_caught() {
    let Some(browser) = browser() else { return };
    let served = Served::start();
    // Another host, and nobody is there: nothing leaves this machine.
    let bad = "<!doctype html><style>html { background: #fff }</style><link rel=icon href='data:,'><main><div style='width: 2000px'>wide</div>\
               <img src='http://127.0.0.2:47999/x.png'><figure><svg viewBox='0 0 1000 10' width='100'>\
               <text x='0' y='9' style='font-size: 9px; fill: #eee'>small</text></svg></figure></main>\
               <script>throw new Error('planted')</script>";
    fs::write(served.dir().join("bad.html"), bad).expect("a page");
    browser.look(400, "light");
    let found = problems(&browser, &served, "bad.html").join("\n");
    for wanted in ["beyond the window", "127.0.0.2", "planted", "px high", "contrast"] {
        assert!(found.contains(wanted), "{wanted} is missing in\n{found}");
    }
}

/// Leaves a picture of the page.
fn keep(browser: &Browser, name: &str) {
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
