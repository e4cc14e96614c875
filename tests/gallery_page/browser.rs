//! A headless Chromium, driven through its DevTools protocol over a pair of pipes.
//!
//! Each message is a JSON object that ends with a zero byte; Chromium reads them from descriptor 3 and writes
//! them to descriptor 4. No port is opened and no driver program is needed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::prelude::*;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser with one page. It ends, with all its processes, when dropped.
pub(crate) struct Browser {
    child: Child,
    commands: Option<ChildStdin>,
    messages: Receiver<Value>,
    session: Option<String>,
    next_id: u64,
    /// What the page's own scripts failed with.
    exceptions: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium with an empty profile.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The shell only moves the pipes to the descriptors where Chromium looks for them.
        let mut child = Command::new("sh")
            .args(["-c", r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#])
            .arg(chromium())
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("a shell to start Chromium with");
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|len| len > 1) {
                message.pop();
                if sender.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let commands = child.stdin.take();
        let mut browser = Self {
            child,
            commands,
            messages,
            session: None,
            next_id: 0,
            exceptions: Vec::new(),
            _profile: profile,
        };
        let target = browser.command("Target.createTarget", json!({"url": "about:blank"}));
        let attached = browser
            .command("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true}));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "DOM"] {
            browser.command(&format!("{domain}.enable"), json!({}));
        }
        browser.resize(1200, 1000);
        browser
    }

    /// Goes to an address; [`wait_for`](Self::wait_for) tells when it is there.
    pub(crate) fn open(&mut self, url: &str) {
        let answer = self.command("Page.navigate", json!({"url": url}));
        assert!(answer.get("errorText").is_none(), "{url}: {}", answer["errorText"]);
    }

    /// The value of an expression in the page, awaited if it is a promise.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let answer = self.command(
            "Runtime.evaluate",
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}),
        );
        let failure = answer.get("exceptionDetails");
        assert!(failure.is_none(), "{expression}: {failure:#?}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression in the page is true, and returns it.
    pub(crate) fn wait_for(&mut self, expression: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // The page looks at each of its frames, so that nothing here has to guess how long to sleep.
            let value = self.evaluate(&format!(
                "new Promise((done) => {{ const end = performance.now() + 1000; const look = () => {{
                    const value = ({expression});
                    value || performance.now() > end ? done(value) : setTimeout(look, 15);
                }}; look(); }})"
            ));
            if !(value.is_null() || value == false || value == 0 || value == "") {
                return value;
            }
            assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {expression}\n{}", self.page_text());
        }
    }

    /// Presses what a selector finds.
    pub(crate) fn press(&mut self, selector: &str) {
        self.evaluate(&format!("document.querySelector({selector:?}).click()"));
    }

    /// Chooses files in a file input, as a visitor does in the dialogue.
    pub(crate) fn choose_files(&mut self, selector: &str, files: &[PathBuf]) {
        let document = self.command("DOM.getDocument", json!({}));
        let root = &document["root"]["nodeId"];
        let input = self.command("DOM.querySelector", json!({"nodeId": root, "selector": selector}));
        self.command("DOM.setFileInputFiles", json!({"nodeId": input["nodeId"], "files": files}));
    }

    /// Drags files over the page and drops them.
    pub(crate) fn drop_files(&mut self, files: &[PathBuf]) {
        for kind in ["dragEnter", "dragOver", "drop"] {
            let data = json!({"items": [], "files": files, "dragOperationsMask": 1});
            self.command("Input.dispatchDragEvent", json!({"type": kind, "x": 300, "y": 300, "data": data}));
        }
    }

    /// Shows the page in a light or dark colour scheme.
    pub(crate) fn prefer(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.command("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Sets the size of the window.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Writes what the window shows to a PNG file.
    pub(crate) fn screenshot(&mut self, file: &Path) {
        let shot = self.command("Page.captureScreenshot", json!({"format": "png"}));
        let png = BASE64_STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(file, png).unwrap();
    }

    /// What the page's scripts failed with so far.
    pub(crate) fn exceptions(&self) -> &[String] {
        &self.exceptions
    }

    fn page_text(&mut self) -> String {
        let text = self.evaluate("document.body.innerText");
        format!("the page says:\n{}\n{:?}", text.as_str().unwrap_or_default(), self.exceptions)
    }

    fn command(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let mut command = json!({"id": self.next_id, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let mut message = command.to_string().into_bytes();
        message.push(0);
        self.commands.as_mut().unwrap().write_all(&message).expect("Chromium listens");
        loop {
            let message = self.messages.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("{} did not answer {method}; does it start by hand?", chromium().display())
            });
            if message["method"] == "Runtime.exceptionThrown" {
                self.exceptions.push(message["params"]["exceptionDetails"].to_string());
            }
            if message["id"] == self.next_id {
                assert!(message.get("error").is_none(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A closed pipe asks Chromium to leave, and lets it put its profile in order before that is removed.
        drop(self.commands.take());
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let group = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn chromium() -> PathBuf {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return path.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)))
        .find(|file| file.is_file())
        .expect("this test drives a real browser: `apt-get install chromium`, or set CHROMIUM to one")
}

/// How long anything may take before a test gives up; far longer than it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
