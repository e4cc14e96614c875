//! The dirty app: what runs in worker processes of its own.

use std::time::Duration;

use anyhow::Result;
use gunmetal::dirty::prelude::*;

use crate::contact_sheet::ContactSheet;
use crate::picture::{self, Info};

/// The name by which HTTP workers call the app.
pub(crate) const PATH: &str = "images:ImageApp";

/// Decodes pictures that strangers upload, so that nobody else has to.
pub(crate) struct ImageApp;

#[dirty_app]
impl ImageApp {
    fn init() -> Result<Self> {
        Ok(Self)
    }

    /// A picture that fits into a square of `size` pixels.
    #[action]
    fn thumbnail(&self, image: Bytes, #[default = 128] size: u32) -> Result<Bytes> {
        picture::thumbnail(&image, size)
    }

    /// Size and format of a picture.
    #[action]
    fn info(&self, image: Bytes) -> Result<Info> {
        picture::info(&image)
    }

    /// A contact sheet, `across` by `across` tiles: an iterator, so it is streamed tile by tile.
    #[action]
    fn tiles(&self, image: Bytes, #[default = 10] across: u32) -> Result<ContactSheet> {
        ContactSheet::new(&image, across)
    }

    /// Costs nothing, and tells which process answered.
    #[action]
    fn ping(&self) -> u32 {
        std::process::id()
    }

    /// Ends this process, as a bug in a decoder might.
    #[action]
    fn crash(&self) {
        std::process::abort();
    }

    /// Never answers.
    #[action]
    fn hang(&self) {
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }
}
