//! The lab in a real browser: the reader predicts, starts a run, watches it, sees the result, and
//! sees the result again after loading the page once more. The runs are fake ones that measure
//! nothing (`--rehearse`). With BOOK_SCREENS=1, pictures are stored in target/book-screens/.

use std::fs;

use crate::webdriver::served::{RENDERED, Served};
use crate::webdriver::{Browser, in_one_browser, keep, looked, wait};
use serde_json::Value;

const PAGE: &str = "ch04-select-poll.html";
// Keys, as WebDriver encodes them.
const UP: &str = "\u{e013}";
const ENTER: &str = "\u{e007}";
const TAB: &str = "\u{e004}";

/// The CSS selector of the form for a prediction about the experiment `readiness`.
const PREDICT: &str = "[aria-label=\"Predict: readiness\"]";
/// The CSS selector of the box that runs the experiment `readiness`.
const RUN: &str = "[aria-label=\"Your machine: readiness\"]";

/// Returns the visible text of an element.
fn text(browser: &Browser, element: &str) -> String {
    let said =
        browser.run(&format!("return document.querySelector('{element}').innerText"));
    said.as_str().unwrap_or_default().to_owned()
}

/// Returns a script that tests whether an element is visible.
fn is_seen(element: &str) -> String {
    format!("return document.querySelector('{element}')?.checkVisibility() === true")
}

/// Returns a script that tests whether an element's text contains `what`.
fn says(element: &str, what: &str) -> String {
    format!(
        "return document.querySelector('{element}')?.innerText.includes('{what}') === true"
    )
}

fn focus(browser: &Browser, element: &str) {
    browser.run(&format!("document.querySelector('{element}').focus()"));
}

/// Opens the page of chapter 4, and skips the prediction.
fn open(browser: &Browser, served: &Served) {
    browser.open(&served.url(PAGE));
    browser.wait_until(&is_seen(PREDICT));
    browser.run(&format!("document.querySelector('{PREDICT} [type=button]').click()"));
    browser.wait_until(&is_seen(RUN));
}

/// Starts a run by a click, and waits for its first chart.
fn run(browser: &Browser) {
    browser.run(&format!("document.querySelector('{RUN} .lab-main').click()"));
    browser.wait_until(&is_seen(".lab-own[data-of=readiness] figure svg"));
}

#[test]
fn the_lab_works_in_a_browser() {
    in_one_browser(&[
        predict_run_watch_and_see_it_again_with_the_keyboard_alone,
        a_page_that_is_loaded_again_during_a_run_follows_it_and_can_stop_it,
        the_keyboard_focus_stays_at_the_run_and_a_screen_reader_hears_its_status,
        a_page_reports_that_the_server_has_stopped,
        a_page_shows_why_a_run_failed,
        the_lab_has_no_problem_in_light_and_dark_wide_and_narrow,
        without_the_books_server_or_without_scripts_it_is_a_plain_book,
    ]);
}

fn predict_run_watch_and_see_it_again_with_the_keyboard_alone(browser: &Browser) {
    let served = Served::with_fake_runs("whole");
    browser.look(1280, "light");
    browser.open(&served.url(PAGE));
    browser.wait_until(&is_seen(&format!("{PREDICT} .lab-curve svg .handle")));
    let figure = ".measured[data-part=readiness]";
    assert_eq!(browser.run(&is_seen(figure)), false, "visible before a prediction");
    // If the reader has drawn no curve, the page does not accept a prediction.
    focus(browser, &format!("{PREDICT} .lab-main"));
    browser.press(&[ENTER]);
    browser.wait_until(&says(&format!("{PREDICT} .lab-missing"), "Decide first"));
    let handle = format!("{PREDICT} svg.wide .handle");
    focus(browser, &handle);
    let value = |handle: &str| {
        let value = format!(
            "return document.querySelector('{handle}').getAttribute('aria-valuenow')"
        );
        let value = browser.run(&value);
        value.as_str().and_then(|text| text.parse::<f64>().ok()).expect("a number")
    };
    let before = value(&handle);
    browser.press(&[UP, UP, TAB, UP]);
    assert!(value(&handle) > before);
    // For a screen reader, the handle of a curve's point has a label, and its value in words.
    let spoken = browser.run(&format!(
        "const at = document.querySelector('{handle}'); return at.ariaLabel + ' – ' + at.ariaValueText"
    ));
    let spoken = spoken.as_str().unwrap_or_default();
    assert!(spoken.contains("watched: 10 – ") && spoken.contains(" µs"), "{spoken}");
    focus(browser, &format!("{PREDICT} .lab-main"));
    browser.press(&[ENTER]);
    browser.wait_until(&is_seen(figure));
    assert_eq!(browser.run(&is_seen(PREDICT)), false);
    let kept = served.checkout().join("target/lab/predictions.json");
    let kept =
        || fs::read_to_string(&kept).ok().filter(|text| text.contains("\"curve\""));
    wait(kept).expect("the prediction is stored");
    focus(browser, &format!("{RUN} .lab-main"));
    browser.press(&[ENTER]);
    browser.wait_until(&is_seen(".lab-own[data-of=readiness] figure svg"));
    browser.wait_until(&says(&format!("{RUN} .lab-status"), "Done"));
    let compared = text(browser, &format!("{RUN} .lab-compared"));
    assert!(compared.contains("You said") && compared.contains("too much"), "{compared}");
    keep_if_asked(browser, "lab-done");
    // When the page is loaded again, it shows the result and the prediction.
    browser.open(&served.url(PAGE));
    browser.wait_until(&is_seen(".lab-own[data-of=readiness] figure svg.wide"));
    browser.wait_until(&is_seen(".lab-own[data-of=readiness] .predicted"));
    let own = browser.run(
        "const [line, name] = ['.predicted', 'text.you'].map((which) => document.querySelector(`.lab-own[data-of=readiness] svg.wide ${which}`));
         const colors = [...document.querySelectorAll('.lab-own[data-of=readiness] svg.wide [class*=series-]')].map((other) => getComputedStyle(other).stroke);
         return [name.textContent, getComputedStyle(line).stroke === getComputedStyle(name).fill, colors.includes(getComputedStyle(line).stroke)]",
    );
    assert_eq!(
        own,
        serde_json::json!(["you", true, false]),
        "the line, its name, its color"
    );
    assert_eq!(browser.run(&is_seen(PREDICT)), false);
    assert_eq!(text(browser, &format!("{RUN} .lab-compared")), compared);
    assert_eq!(browser.logs().0, [] as [String; 0]);
}

fn a_page_that_is_loaded_again_during_a_run_follows_it_and_can_stop_it(
    browser: &Browser,
) {
    let served = Served::with_fake_runs("stuck");
    browser.look(1280, "light");
    open(browser, &served);
    run(browser);
    browser.open(&served.url(PAGE));
    browser.wait_until(&is_seen(".lab-own[data-of=readiness] figure svg"));
    browser.wait_until(&says(&format!("{RUN} .lab-step"), "3 of 4"));
    assert_eq!(browser.run(&is_seen(&format!("{RUN} progress"))), true);
    // While an experiment runs, no other experiment can be started.
    let other = "[aria-label=\"Your machine: memory\"] .lab-main";
    let is_off = format!("return document.querySelector('{other}').disabled");
    browser.wait_until(&is_off);
    keep_if_asked(browser, "lab-running");
    browser
        .run(&format!("document.querySelector('{RUN} button:not(.lab-main)').click()"));
    browser.wait_until(&says(&format!("{RUN} .lab-status"), "you have stopped it"));
    assert_eq!(browser.run(&is_off), false);
    assert_eq!(browser.run(&is_seen(&format!("{RUN} .lab-main"))), true);
}

fn the_keyboard_focus_stays_at_the_run_and_a_screen_reader_hears_its_status(
    browser: &Browser,
) {
    let served = Served::with_fake_runs("stuck");
    browser.look(1280, "light");
    open(browser, &served);
    // A screen reader announces changes only in an element that existed before the change and is
    // not busy.
    let status = format!("{RUN} .lab-status");
    assert_eq!(text(browser, &status), "");
    let is_known = format!(
        "const at = document.querySelector('{status}');
         return getComputedStyle(at).display !== 'none' && at.closest('[aria-busy=true]') === null"
    );
    assert_eq!(browser.run(&is_known), true);
    let has_focus = |button: &str| {
        format!(
            "return document.activeElement === document.querySelector('{RUN} {button}')"
        )
    };
    focus(browser, &format!("{RUN} .lab-main"));
    browser.press(&[ENTER]);
    browser.wait_until(&says(&format!("{RUN} .lab-step"), "3 of 4"));
    assert_eq!(browser.run(&has_focus("button:not(.lab-main)")), true);
    assert_eq!(browser.run(&is_known), true);
    browser.press(&[ENTER]);
    browser.wait_until(&says(&status, "you have stopped it"));
    assert_eq!(browser.run(&has_focus(".lab-main")), true);
}

fn a_page_reports_that_the_server_has_stopped(browser: &Browser) {
    let served = Served::with_fake_runs("stuck");
    browser.look(1280, "light");
    open(browser, &served);
    run(browser);
    drop(served);
    browser.wait_until(&says(&format!("{RUN} .lab-status"), "does not answer"));
    keep_if_asked(browser, "lab-server-gone");
}

fn a_page_shows_why_a_run_failed(browser: &Browser) {
    let served = Served::with_fake_runs("failing");
    browser.look(1280, "light");
    open(browser, &served);
    run(browser);
    browser.wait_until(&says(&format!("{RUN} .lab-status"), "this was to fail"));
}

fn the_lab_has_no_problem_in_light_and_dark_wide_and_narrow(browser: &Browser) {
    let served = Served::with_fake_runs("whole");
    browser.look(1280, "light");
    open(browser, &served);
    run(browser);
    browser.wait_until(&says(&format!("{RUN} .lab-status"), "Done"));
    let mut wrong = Vec::new();
    for (width, scheme) in
        [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")]
    {
        browser.look(width, scheme);
        browser.open(&served.url(PAGE));
        browser.wait_until(&is_seen(".lab-own[data-of=readiness] figure"));
        let found = looked(browser, &served.origin());
        wrong.extend(found.iter().map(|what| format!("{width} px, {scheme}: {what}")));
        keep_if_asked(browser, &format!("lab-{scheme}-{width}"));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

fn without_the_books_server_or_without_scripts_it_is_a_plain_book(browser: &Browser) {
    let served = Served::with_fake_runs("whole");
    browser.look(1280, "light");
    let open = "details.predict[data-lab=readiness]";
    let open = format!("document.querySelector('{open} > summary').click()");
    browser.open(&format!("file://{RENDERED}/{PAGE}"));
    browser.run(&open);
    browser.wait_until(&is_seen(RUN));
    assert_eq!(browser.run(&is_seen(".measured[data-part=readiness] figure svg")), true);
    browser.run(&format!("document.querySelector('{RUN} .lab-main').click()"));
    let told = text(browser, RUN);
    assert!(told.contains("cargo run --release -- lab readiness"), "{told}");
    keep_if_asked(browser, "lab-files");
    browser.scripts(false);
    browser.open(&served.url(PAGE));
    let nothing = "return document.querySelectorAll('.lab-predict, .lab-run').length";
    assert_eq!(browser.run(nothing), Value::from(0));
    browser.run(&open);
    assert_eq!(browser.run(&is_seen(".measured[data-part=readiness] figure svg")), true);
    // Without scripts no theme can be chosen, and the page follows the system's colors.
    for scheme in ["light", "dark"] {
        browser.look(1280, scheme);
        assert_eq!(looked(browser, &served.origin()), [] as [String; 0], "{scheme}");
    }
    browser.scripts(true);
}

/// Stores a picture of the page as target/book-screens/NAME.png if `BOOK_SCREENS` is set.
fn keep_if_asked(browser: &Browser, name: &str) {
    if std::env::var_os("BOOK_SCREENS").is_some() {
        keep(browser, name);
    }
}
