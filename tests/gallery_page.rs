//! The gallery as a visitor meets it: the real service, a real browser, real photos.
#![allow(clippy::unwrap_used)]

#[path = "gallery_page/browser.rs"]
mod browser;
mod support;

use std::path::PathBuf;

use browser::Browser;
use support::Service;

/// A dropped photo is the main job, end to end: page, HTTP worker, router, dirty worker, and back as a stream.
#[test]
fn a_dropped_photo_becomes_a_thumbnail_and_a_contact_sheet() {
    let mut visit = Visit::new();

    visit.page.drop_files(&[sample("lake.jpg")]);

    let thumbnail = ".card img[alt='Thumbnail of lake.jpg']";
    visit.page.wait_for(&format!("document.querySelector({thumbnail:?})?.naturalWidth == 320"));
    visit.wait_for_sheet();
    let facts = visit.page.evaluate("document.querySelector('.card .facts').textContent");
    assert!(facts.as_str().unwrap().starts_with("1200 × 800 JPEG\n93 kB, made in "), "{facts}");
    let tiles = visit.page.evaluate("document.querySelectorAll('#sheet .cell').length");
    assert_eq!(tiles, 100);
}

#[test]
fn png_and_webp_are_shown_as_well() {
    let mut visit = Visit::new();

    visit.page.choose_files("#file", &[sample("marbles.png"), sample("lights.webp")]);

    visit.page.wait_for("document.querySelectorAll('.card img').length == 2");
    visit
        .page
        .wait_for("[...document.querySelectorAll('.card img')].every((image) => image.naturalWidth > 0)");
    visit.page.wait_for("document.querySelector('#pictures').textContent.includes('560 × 420 PNG')");
    visit.page.wait_for("document.querySelector('#pictures').textContent.includes('640 × 960 WebP')");
    visit.wait_for_sheet();
}

#[test]
fn a_broken_picture_gets_an_error_that_its_owner_understands() {
    let mut visit = Visit::new();
    let photo = std::fs::read(sample("marbles.png")).unwrap();
    let half = visit.file("half.png", &photo[..photo.len() / 2]);
    let text = visit.file("holiday.jpg", b"Wish you were here.");
    let nothing = visit.file("nothing.webp", b"");

    visit.page.choose_files("#file", &[half, text, nothing]);

    visit.page.wait_for("document.querySelectorAll('.card.broken').length == 3");
    let cards = visit.page.evaluate(
        "[...document.querySelectorAll('.card')].map((card) => [...card.querySelectorAll('.name, .facts')]
            .map((line) => line.textContent).join(': ')).sort().join('\\n')",
    );
    let expected = "half.png: this PNG file is damaged and cannot be decoded\n\
        holiday.jpg: this file is not a JPEG, PNG or WebP picture\n\
        nothing.webp: this file is empty";
    assert_eq!(cards, expected);

    // And the service is none the worse for it.
    visit.page.choose_files("#file", &[sample("lake.jpg")]);
    visit.wait_for_sheet();
}

#[test]
fn a_file_that_is_too_large_is_refused_by_name_and_size() {
    let mut visit = Visit::new();
    let large = visit.file("huge.jpg", &vec![0; (32 << 20) + 1]);

    visit.page.choose_files("#file", &[large]);

    visit.page.wait_for(
        "document.querySelector('.card.broken .facts')?.textContent == \
         'this file has 33.6 MB; at most 32 MiB are accepted'",
    );
    // The page asks first; the service would not have taken it either.
    let answer = visit.page.evaluate(
        "fetch('/info', { method: 'POST', body: new Blob([new Uint8Array(32 * 1024 * 1024 + 1)]) })
            .then(async (response) => response.status + ' ' + await response.text(), () => 'connection closed')",
    );
    let refused = ["413 {\"error\":\"this upload is larger than 32 MiB\"}", "connection closed"];
    assert!(refused.contains(&answer.as_str().unwrap()), "{answer}");
}

#[test]
fn while_a_worker_crashes_everybody_else_is_answered() {
    let mut visit = Visit::new();
    let before = visit.workers();

    visit.page.press("#crash");

    visit.page.wait_for("document.querySelector('#log').textContent.includes('502 after ')");
    let after = visit.wait_for_replacement(&before);
    let log = visit.log();
    assert!(log.contains("SIGABRT"), "the page does not say how the worker died:\n{log}");
    assert_eq!(after.len(), before.len());
    visit.page.choose_files("#file", &[sample("lake.jpg")]);
    visit.wait_for_sheet();
    visit.nobody_else_noticed();
}

#[test]
fn while_a_worker_hangs_everybody_else_is_answered() {
    // Nobody ends this hang: what is answered, is answered while it lasts.
    let mut visit = Visit::with(&["--dirty-timeout", "600"]);

    visit.page.press("#hang");
    visit.page.wait_for("document.querySelector('#hang').textContent.startsWith('hanging, ')");

    visit.page.choose_files("#file", &[sample("lake.jpg")]);
    visit.wait_for_sheet();
    let answered = visit.answered();
    visit.page.wait_for(&format!("Number(document.querySelector('#answered').textContent) > {answered} + 8"));
    visit.nobody_else_noticed();
}

#[test]
fn a_worker_that_hangs_is_replaced_and_its_caller_told() {
    let mut visit = Visit::with(&["--dirty-timeout", "1"]);
    let before = visit.workers();

    visit.page.press("#hang");

    visit.page.wait_for("document.querySelector('#log').textContent.includes('504 after ')");
    let after = visit.wait_for_replacement(&before);
    assert_eq!(after.len(), before.len());
    let log = visit.log();
    assert!(log.contains("after 1s"), "the page does not say what the limit was:\n{log}");
    visit.nobody_else_noticed();
}

/// Everything at once, in the order of the tour in the README; leaves its picture in `target/gallery.png`, which is
/// committed as `docs/images/gallery.png`.
#[test]
fn a_tour_of_the_page_leaves_a_picture_for_the_documentation() {
    let mut visit = Visit::new();
    visit.page.prefer("dark");
    let broken = visit.file("holiday.jpg", b"Wish you were here.");
    visit.page.choose_files("#file", &[sample("marbles.png"), sample("lights.webp"), broken]);
    visit.page.wait_for(
        "document.querySelector('.card.broken') && document.querySelectorAll('.card img').length == 2",
    );
    let before = visit.workers();
    visit.page.press("#crash");
    let between = visit.wait_for_replacement(&before);
    visit.page.press("#hang");
    visit.wait_for_replacement(&between);
    visit.page.press("[data-sample='lake.jpg']");
    visit.wait_for_sheet();
    visit.page.wait_for("document.querySelectorAll('#pulse .none').length < 24");
    visit.page.wait_for("document.getAnimations().every((animation) => animation.playState == 'finished')");

    let height = visit.page.evaluate("document.documentElement.scrollHeight").as_u64().unwrap();
    visit.page.resize(1200, u32::try_from(height).unwrap());
    let picture = support::example_binary("gallery").ancestors().nth(3).unwrap().join("gallery.png");
    visit.page.screenshot(&picture);

    let shape = image::open(&picture).unwrap();
    assert_eq!(shape.width(), 1200);
    visit.nobody_else_noticed();
}

/// A running gallery, and a browser that has opened its page.
struct Visit {
    page: Browser,
    disk: tempfile::TempDir,
    _service: Service,
}

impl Visit {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(flags: &[&str]) -> Self {
        let service = Service::start("gallery", &[&["--bind", "127.0.0.1:0"], flags].concat(), &[]);
        let url = service.wait_for("the address", || {
            service.log().iter().find_map(|line| {
                let url = &line[line.find("http://127.0.0.1:")?..];
                Some(url.split([' ', '"']).next()?.to_owned())
            })
        });
        let mut page = Browser::start();
        page.open(&url);
        let mut visit = Self { page, disk: tempfile::tempdir().unwrap(), _service: service };
        visit.page.wait_for("document.querySelectorAll('#workers tr[data-pid]').length == 3");
        visit
    }

    /// A file on the visitor's disk.
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.disk.path().join(name);
        std::fs::write(&file, content).unwrap();
        file
    }

    /// Waits until every cell of the contact sheet shows its tile.
    fn wait_for_sheet(&mut self) {
        self.page.wait_for(
            "document.querySelector('#sheet.whole') && [...document.querySelectorAll('#sheet .cell')]
                .every((cell) => cell.firstChild?.naturalWidth > 0)",
        );
    }

    /// The pids in the table of workers.
    fn workers(&mut self) -> Vec<u64> {
        let pids = self
            .page
            .evaluate("[...document.querySelectorAll('tr[data-pid]')].map((row) => +row.dataset.pid)");
        serde_json::from_value(pids).unwrap()
    }

    /// Waits until one of these workers has been replaced in the table, and returns all that are there now.
    fn wait_for_replacement(&mut self, before: &[u64]) -> Vec<u64> {
        let count = before.len();
        self.page.wait_for(&format!(
            "(() => {{ const pids = [...document.querySelectorAll('tr[data-pid]')].map((row) => +row.dataset.pid);
                return pids.length == {count} && pids.filter((pid) => !{before:?}.includes(pid)).length == 1; }})()"
        ));
        self.workers()
    }

    fn answered(&mut self) -> u64 {
        self.page.evaluate("Number(document.querySelector('#answered').textContent)").as_u64().unwrap()
    }

    fn log(&mut self) -> String {
        self.page.evaluate("document.querySelector('#log').innerText").as_str().unwrap().to_owned()
    }

    /// No small call has failed, and no script of the page has.
    fn nobody_else_noticed(&mut self) {
        let failed = self.page.evaluate("document.querySelector('#failed').textContent");
        let log = self.log();
        assert_eq!(failed, "0", "small calls failed:\n{log}");
        assert!(self.answered() > 0);
        assert_eq!(self.page.exceptions(), [""; 0]);
    }
}

/// A photo that comes with the gallery.
fn sample(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/gallery/samples").join(name)
}
