//! The book in a real browser, served by the project's own server: no error, no request to
//! another host, nothing wider than the window, in light and dark, wide and narrow. With
//! BOOK_SCREENS=1, a picture of every page is stored in target/book-screens/.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::webdriver::served::{RENDERED, Served};
use crate::webdriver::{Browser, browser, in_one_browser, keep, looked, problems};

/// A script that skips every prediction and opens every folded box (`<details>`).
const REVEAL: &str = "document.querySelectorAll('.lab-predict [type=button]').forEach((button) => button.click());
    document.querySelectorAll('details').forEach((box) => { box.open = true; })";

/// A JavaScript expression that is true if the page is shown in dark colors.
const DARK: &str = "document.documentElement.classList.contains('navy')";

/// The themes that a reader can choose besides the two that follow the system.
const THEMES: [&str; 3] = ["rust", "coal", "ayu"];

#[test]
fn the_pages_work_in_a_browser() {
    in_one_browser(&[
        pages_hide_answers_without_scripts_too,
        a_page_follows_the_system_until_a_theme_is_chosen,
        boxes_open_and_the_search_finds,
        the_search_index_comes_when_it_is_needed_and_has_the_words_of_the_text,
        nothing_moves_while_a_run_replaces_a_recorded_figure,
        everything_can_be_reached_without_a_mouse,
        a_bad_page_is_caught,
    ]);
}

/// Each page has no problem in light and dark colors, with its forms for predictions and with the
/// figures that these forms hide, nor in one of [`THEMES`]. It loads at most [`PAGE`] bytes, and hides
/// what gives an answer away until the prediction is skipped.
#[test]
fn no_wide_page_has_a_problem() {
    let Some(browser) = browser() else { return };
    let served = Served::start();
    let (mut wrong, mut predicted) = (Vec::new(), 0);
    for (page, theme) in served.pages().iter().zip(THEMES.iter().cycle()) {
        let mut note = |state: &str, found: Vec<String>| {
            wrong.extend(found.iter().map(|what| format!("{page}, {state}: {what}")));
        };
        browser.look(1280, "light");
        note("light", problems(&browser, &served, page));
        assert_eq!(browser.run(&format!("return {DARK}")), false, "{page} is dark");
        let loaded = loaded(&browser);
        let size: u64 = loaded.iter().map(|(_, size)| size).sum();
        assert!(size <= PAGE, "{page} loads {size} bytes: {loaded:#?}");
        assert_eq!(index(&loaded), None, "{page} loads the index unasked");
        assert_eq!(answers(&browser, ""), NO_TEXT, "{page}: seen before the prediction");
        choose(&browser, "navy");
        note("dark", looked(&browser, &served.origin()));
        browser.run(REVEAL);
        assert_eq!(answers(&browser, "=== false"), NO_TEXT, "{page}: not seen after it");
        predicted += usize::from(!answers(&browser, "").is_empty());
        note("dark, figures", looked(&browser, &served.origin()));
        keep_if_asked(&browser, page, "dark", 1280);
        choose(&browser, "light");
        note("light, figures", looked(&browser, &served.origin()));
        keep_if_asked(&browser, page, "light", 1280);
        // One theme a page is enough, because every colored element is on several pages.
        choose(&browser, theme);
        note(theme, looked(&browser, &served.origin()));
        browser.run("localStorage.clear()");
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(predicted >= 6, "only {predicted} pages have figures to predict");
}

/// Each page is checked in dark colors with its forms for predictions, and in light colors with the
/// figures that these forms hide: `no_wide_page_has_a_problem` checks all four combinations.
#[test]
fn no_narrow_page_has_a_problem() {
    let Some(browser) = browser() else { return };
    let served = Served::start();
    let mut wrong = Vec::new();
    for page in served.pages() {
        let mut note = |state: &str, found: Vec<String>| {
            wrong.extend(
                found.iter().map(|what| format!("{page}, 400 px, {state}: {what}")),
            );
        };
        browser.look(400, "dark");
        note("dark", problems(&browser, &served, &page));
        assert_eq!(browser.run(&format!("return {DARK}")), true, "{page} is not dark");
        browser.run(REVEAL);
        keep_if_asked(&browser, &page, "dark", 400);
        choose(&browser, "light");
        note("light, figures", looked(&browser, &served.origin()));
        keep_if_asked(&browser, &page, "light", 400);
        browser.run("localStorage.clear()");
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Stores a picture of the page if the environment variable `BOOK_SCREENS` asks for it.
fn keep_if_asked(browser: &Browser, page: &str, scheme: &str, width: u32) {
    if std::env::var_os("BOOK_SCREENS").is_some() {
        let name = page.replace('/', "-").replace(".html", "");
        keep(browser, &format!("{name}-{scheme}-{width}"));
    }
}

/// Chooses a theme, and waits until the open page shows the theme's colors.
fn choose(browser: &Browser, theme: &str) {
    browser.run(&format!("document.getElementById('mdbook-theme-{theme}').click()"));
    settle(browser, &format!("document.documentElement.classList.contains('{theme}')"));
}

/// Waits until the JavaScript expression `is_shown` is true, the page's stylesheets are loaded, and
/// its transitions have ended. The browser loads a stylesheet again when a theme enables it. The
/// transitions are ended at once, because the browser would paint the page sixty times a second
/// while its colors fade.
fn settle(browser: &Browser, is_shown: &str) {
    browser.wait_until(&format!(
        "document.getAnimations().forEach((one) => one.finish());
         const links = [...document.querySelectorAll('link[rel=stylesheet]')];
         return {is_shown} && links.every((link) => link.disabled || link.sheet !== null)
             && document.getAnimations().length === 0"
    ));
}

/// The value of [`answers`] if no text is found.
const NO_TEXT: [String; 0] = [];

/// Returns the beginnings of the texts and figures that give away the answers to the open page's
/// predictions, if `checkVisibility()` followed by `which` is true for them.
fn answers(browser: &Browser, which: &str) -> Vec<String> {
    let found = browser.run(&format!(
        "return [...document.querySelectorAll('.told, .measured')].filter((e) => e.closest('.told') !== null
             && e.checkVisibility() {which}).map((e) => e.innerText.slice(0, 60))"
    ));
    serde_json::from_value(found).expect("texts")
}

/// A page hides the figures and texts that give an answer away while scripts are disabled, too. Only
/// pages that have such figures or texts are opened.
fn pages_hide_answers_without_scripts_too(browser: &Browser) {
    let served = Served::start();
    browser.look(1280, "light");
    browser.scripts(false);
    let mut pages = served.pages();
    pages.retain(|page| {
        let text = fs::read_to_string(Path::new(RENDERED).join(page)).expect("a page");
        ["told", "measured"].iter().any(|class| text.contains(class))
    });
    for page in pages {
        browser.open(&served.url(&page));
        assert_eq!(answers(browser, ""), NO_TEXT, "{page}: seen before the prediction");
    }
}

/// A page follows the colors that the system prefers, until a theme is chosen; every page then opens
/// in that theme.
fn a_page_follows_the_system_until_a_theme_is_chosen(browser: &Browser) {
    let served = Served::start();
    // A page is notified of the system's choice only in a window that is shown.
    browser.minimize(false);
    browser.open(&served.url("contract.html"));
    for scheme in ["dark", "light"] {
        browser.look(1280, scheme);
        settle(browser, &format!("{DARK} === {}", scheme == "dark"));
    }
    browser.minimize(true);
    for theme in THEMES {
        browser.open(&served.url("contract.html"));
        browser.run(&format!("document.getElementById('mdbook-theme-{theme}').click()"));
        browser.open(&served.url("how-to-use.html"));
        let is_shown =
            format!("return document.documentElement.classList.contains('{theme}')");
        assert_eq!(browser.run(&is_shown), true, "{theme}");
    }
}

fn boxes_open_and_the_search_finds(browser: &Browser) {
    let served = Served::start();
    browser.look(1280, "light");
    browser.open(&served.url("how-to-use.html"));
    let hidden = "return document.querySelector('details.predict > :not(summary)').checkVisibility() === false";
    assert_eq!(browser.run(hidden), true, "the answer is visible before a prediction");
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

/// The most bytes that a page may load before the search is used.
const PAGE: u64 = 500_000;
/// The largest size of the search index, in bytes.
const INDEX: u64 = 600_000;
/// A script that returns the URL and size of everything that a page has loaded.
const LOADED: &str = "return ['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))
    .map((entry) => [entry.name, entry.decodedBodySize])";

/// Returns the name and the size, in bytes, of everything that the page has loaded.
fn loaded(browser: &Browser) -> Vec<(String, u64)> {
    serde_json::from_value(browser.run(LOADED)).expect("names and sizes")
}

/// Returns the size of the search index, in bytes, or `None` if `loaded` does not contain it.
fn index(loaded: &[(String, u64)]) -> Option<u64> {
    loaded.iter().find(|(name, _)| name.contains("searchindex")).map(|(_, size)| *size)
}

fn the_search_index_comes_when_it_is_needed_and_has_the_words_of_the_text(
    browser: &Browser,
) {
    let served = Served::start();
    browser.look(1280, "light");
    browser.open(&served.url("index.html"));
    browser.run("document.activeElement.blur()");
    browser.press(&["/"]);
    let is_there = format!(
        "{LOADED}.some(([name, size]) => name.includes('searchindex') && size > 0)"
    );
    browser.wait_until(&is_there);
    let size = index(&loaded(browser)).expect("an index");
    assert!(size <= INDEX, "the index has {size} bytes");
    let found = |words: &str| {
        browser.open(&served.url(&format!("index.html?search={words}")));
        browser.wait_until("return /results? /.test(document.querySelector('#mdbook-searchresults-header').innerText)");
        browser.run(
            "return document.querySelectorAll('#mdbook-searchresults li').length > 0",
        )
    };
    assert_eq!(found("edge-triggered"), true);
}

fn nothing_moves_while_a_run_replaces_a_recorded_figure(browser: &Browser) {
    let served = Served::with_fake_runs("whole");
    browser.minimize(false);
    for width in [1280, 400] {
        browser.look(width, "light");
        browser.open(&served.url("ch04-select-poll.html"));
        let lab = "[aria-label=\"Your machine: readiness\"]";
        let predict = "[aria-label=\"Predict: readiness\"] [type=button]";
        browser
            .wait_until(&format!("return document.querySelector('{predict}') !== null"));
        browser.run(&format!("document.querySelector('{predict}').click()"));
        browser.run(&format!("document.querySelector('{lab} .lab-main').focus()"));
        // The layout shifts that the click causes must end before the script below observes shifts:
        // the test is about the shifts that the run causes.
        std::thread::sleep(Duration::from_millis(300));
        browser.run(
            "window.shifts = [];
             new PerformanceObserver((list) => list.getEntries().filter((entry) => !entry.hadRecentInput)
                 .forEach((entry) => window.shifts.push([entry.value, ...entry.sources.map(({ node }) => node?.className ?? '')])))
                 .observe({ type: 'layout-shift' })",
        );
        browser.press(&["\u{e007}"]);
        browser.wait_until(&format!(
            "return document.querySelector('{lab} .lab-status').innerText.includes('Done')"
        ));
        // The browser calls the `PerformanceObserver` a short time after a layout shift.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(
            browser.run("return window.shifts"),
            serde_json::json!([]),
            "{width} px"
        );
    }
}

fn everything_can_be_reached_without_a_mouse(browser: &Browser) {
    const TAB: &str = "\u{e004}";
    const ENTER: &str = "\u{e007}";
    const RIGHT: &str = "\u{e014}";
    let served = Served::start();
    // A page is notified of scrolling only in a window that is shown.
    browser.minimize(false);
    browser.look(1280, "light");
    browser.open(&served.url("contract.html"));
    browser.press(&[TAB]);
    let first = "return document.activeElement.textContent";
    assert_eq!(browser.run(first), "Skip to the text");
    browser.press(&[ENTER]);
    browser.wait_until("return document.activeElement.querySelector('main') !== null && document.activeElement !== document.body");
    // The keys Space and Enter hide and show the table of contents.
    let contents = "document.documentElement.classList.contains('sidebar-visible')";
    for (key, is_open) in [(" ", false), (ENTER, true)] {
        browser.run("document.getElementById('mdbook-sidebar-toggle').focus()");
        browser.press(&[key]);
        browser.wait_until(&format!("return {contents} === {is_open}"));
    }
    // In a wide table, the right arrow key scrolls the table; elsewhere, it opens the next page.
    browser.look(400, "light");
    browser.open(&served.url("contract.html"));
    let wide = "[...document.querySelectorAll('main .table-wrapper')].find((e) => e.scrollWidth > e.clientWidth)";
    // The class `more` marks a table that continues beyond the right edge, until the table is
    // scrolled to its end.
    let goes_on = format!("{wide}.classList.contains('more')");
    browser.wait_until(&format!("return {goes_on}"));
    browser.press_in(wide, RIGHT, &format!("return {wide}?.scrollLeft > 0"));
    browser.run(&format!("{wide}.scrollLeft = 10_000"));
    browser.wait_until(&format!("return !{goes_on}"));
    browser.run("document.activeElement.blur()");
    browser.press(&[RIGHT]);
    browser.wait_until("return !location.pathname.endsWith('/contract.html')");
}

fn a_bad_page_is_caught(browser: &Browser) {
    // The page's request to another host goes to a loopback address, so it does not leave this
    // machine.
    let bad = "<!doctype html><style>html { background: #fff } p a { text-decoration: none }</style><link rel=icon href='data:,'><main>\
               <h1>one</h1><h3>three</h3><p style='color: #999'>grey <a href='#'>link</a></p><div style='width: 2000px'>wide</div>\
               <img src='http://127.0.0.2:47999/x.png'><figure><svg viewBox='0 0 1000 10' width='100'>\
               <text x='0' y='9' style='font-size: 9px; fill: #eee'>small</text><path d='M0 0H9' stroke='#eee'/></svg></figure>\
               <table><tr><th></th></tr></table></main>\
               <script>throw new Error('planted')</script>";
    let dir = tempfile::tempdir().expect("a directory");
    let page = dir.path().join("bad.html");
    fs::write(&page, bad).expect("a page");
    browser.look(400, "light");
    browser.open(&format!("file://{}", page.display()));
    let found = looked(browser, "http://127.0.0.1:1/").join("\n");
    let grey = "p \"grey link\" has a contrast";
    let pale = "text \"small\" has a contrast";
    let others = ["beyond the window", "127.0.0.2", "planted", "px high"];
    let others = others.into_iter().chain(["colour only", "skips a level"]);
    let others = others.chain(["path \"\" has a contrast", "has no name"]);
    for wanted in others.chain([grey, pale]) {
        assert!(found.contains(wanted), "{wanted} is missing in\n{found}");
    }
}
