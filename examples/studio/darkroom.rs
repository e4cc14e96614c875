//! Small versions of pictures.

use std::io::Cursor;

use anyhow::{Context as _, ensure};
use gunmetal::dirty::prelude::*;
use image::{ImageFormat, ImageReader};

/// Decodes pictures that strangers upload.
pub(crate) struct Darkroom;

#[dirty_app]
impl Darkroom {
    fn init() -> Result<Self> {
        Ok(Darkroom)
    }

    /// A PNG that fits into a square of `size` pixels.
    #[action]
    fn thumbnail(&self, picture: Bytes, #[default = 128] size: u32) -> anyhow::Result<Bytes> {
        ensure!((1..=2048).contains(&size), "a thumbnail has 1 to 2048 pixels, not {size}");
        let reader = ImageReader::new(Cursor::new(&picture)).with_guessed_format()?;
        let picture = reader.decode().context("this is no picture")?;
        let mut png = Cursor::new(Vec::new());
        picture.thumbnail(size, size).write_to(&mut png, ImageFormat::Png)?;
        Ok(png.into_inner().into())
    }
}
