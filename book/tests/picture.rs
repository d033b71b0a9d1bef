//! The pictures in README.md: a page with its lab, in light and in dark.
//!
//! `PICTURES=1 cargo test --release -p book picture::` takes the pictures anew: the test
//! predicts, runs the experiment, and then takes a picture of the page. Without `PICTURES`, the
//! test checks only that the pictures exist and are small.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use crate::webdriver::browser;
use crate::webdriver::served::Served;

/// The most bytes that the light and the dark picture may have together.
const BYTES: u64 = 200_000;
const SCHEMES: [&str; 2] = ["light", "dark"];

fn file(scheme: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("picture-{scheme}.webp"))
}

#[test]
fn readme_shows_a_page_with_its_lab() {
    if std::env::var_os("PICTURES").is_some() {
        take_pictures();
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("README.md");
    let mut bytes = 0;
    for scheme in SCHEMES {
        let name = format!("book/picture-{scheme}.webp");
        assert!(readme.contains(&name), "README.md does not show {name}");
        bytes += fs::metadata(file(scheme)).expect("a picture").len();
    }
    assert!(bytes <= BYTES, "{bytes} bytes");
}

fn take_pictures() {
    let browser = browser().expect("chromium and chromedriver");
    let served = Served::start();
    browser.look(1280, "light");
    browser.open(&served.url("ch04-select-poll.html"));
    let predict = "[aria-label=\"Predict: readiness\"]";
    let handles = format!("{predict} .lab-curve svg.wide .handle");
    browser.wait_until(&format!("return document.querySelector('{handles}') !== null"));
    // These keys draw a reader's plausible prediction: the line rises, but less than the measured
    // one.
    let keys = [
        ["PageDown", "ArrowDown"],
        ["ArrowDown", "ArrowDown"],
        ["ArrowUp", "ArrowUp"],
        ["ArrowUp", "ArrowUp"],
    ];
    for (at, keys) in keys.iter().enumerate() {
        for key in keys {
            browser.run(&format!(
                "document.querySelectorAll('{handles}')[{at}].dispatchEvent(new KeyboardEvent('keydown', {{ key: '{key}', bubbles: true }}))"
            ));
        }
    }
    browser.run(&format!("document.querySelector('{predict} .lab-main').click()"));
    let run = "[aria-label=\"Your machine: readiness\"]";
    browser.wait_until(&format!(
        "return document.querySelector('{run}')?.checkVisibility() === true"
    ));
    browser.run(&format!("document.querySelector('{run} .lab-main').click()"));
    // On a busy machine, the run may take longer than the minute for which other tests wait.
    let done = format!(
        "return document.querySelector('{run} .lab-status').innerText.includes('Done')"
    );
    while browser.run(&done) != true {
        sleep(Duration::from_secs(1));
    }
    for scheme in SCHEMES {
        browser.look(1280, scheme);
        browser.open(&served.url("ch04-select-poll.html"));
        let own = "document.querySelector('.lab-own[data-of=readiness] figure')";
        browser.wait_until(&format!(
            "return {own} !== null && {own}.querySelector('.predicted') !== null"
        ));
        browser.run(&format!("document.querySelector('{run}').scrollIntoView({{ block: 'start' }}); scrollBy(0, -60)"));
        fs::write(file(scheme), browser.view()).expect("a picture");
    }
}
